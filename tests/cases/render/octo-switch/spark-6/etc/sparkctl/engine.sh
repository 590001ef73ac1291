#!/bin/sh
# Made by sparkctl for spark-6 of cluster octo. Change the inventory instead: an edit here stays, and `sparkctl cluster diff` shows it.
# Runs rank 5 of the engine in the foreground, as the unit sparkctl-engine does; to run it by hand, stop the unit first.
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
  --volume /home/nvidia/.cache/huggingface:/root/.cache/huggingface \
  --volume /srv/models:/models:ro \
  --mount type=bind,source=/etc/sparkctl/api.key,target=/run/sparkctl/api.key,readonly \
  --entrypoint /bin/sh \
  vllm/vllm-openai:v0.33.0 -c 'VLLM_API_KEY=$(cat /run/sparkctl/api.key) && export VLLM_API_KEY && exec "$@"' sh vllm serve Qwen/Qwen3-235B-A22B-Instruct-2507 \
  --tensor-parallel-size 8 \
  --pipeline-parallel-size 1 \
  --nnodes 8 \
  --master-addr 10.20.0.11 \
  --master-port 29501 \
  --distributed-executor-backend mp \
  --served-model-name qwen3-235b \
  --max-model-len 131072 \
  --gpu-memory-utilization 0.8 \
  --node-rank 5 \
  --headless
