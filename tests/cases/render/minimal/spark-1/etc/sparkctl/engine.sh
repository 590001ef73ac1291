#!/bin/sh
# Made by sparkctl for spark-1 of cluster minimal. Change the inventory instead: an edit here stays, and `sparkctl cluster diff` shows it.
# Runs rank 0 of the engine in the foreground, as the unit sparkctl-engine does; to run it by hand, stop the unit first.
set -eu

exec docker run --rm --name sparkctl-engine \
  --network host \
  --ipc host \
  --ulimit memlock=-1 \
  --ulimit nofile=1048576:1048576 \
  --gpus all \
  --device /dev/infiniband \
  --cap-add IPC_LOCK \
  --env-file /etc/sparkctl/nccl.env \
  --env-file /etc/sparkctl/engine.env \
  --volume /root/.cache/huggingface:/root/.cache/huggingface \
  --entrypoint vllm \
  vllm/vllm-openai:v0.33.0 serve openai/gpt-oss-120b \
  --tensor-parallel-size 2 \
  --pipeline-parallel-size 1 \
  --nnodes 2 \
  --master-addr 10.20.0.11 \
  --master-port 29501 \
  --distributed-executor-backend mp \
  --gpu-memory-utilization 0.8 \
  --node-rank 0 \
  --host 127.0.0.1 \
  --port 8000
