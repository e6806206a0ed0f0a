#!/bin/bash
# Prediction of many images on the nodes of a SLURM job:
#
#     sbatch examples/ray_slurm.sh photos demo/run graphs
#
# All nodes need the images, the model, the output folder and the environment of speaq under the same paths.
# Submit it again to continue. For CPUs, remove --gpus-per-task and --device.
#SBATCH --job-name=speaq-predict
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-task=4
#SBATCH --no-kill
set -eu

export RAY_USAGE_STATS_ENABLED=0
export RAY_AUTH_MODE=token # other users of the nodes cannot start tasks
RAY_AUTH_TOKEN=$(openssl rand -hex 32)
export RAY_AUTH_TOKEN
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

# Starts Ray on every node, and the command on the first one; stops Ray when the command ends.
srun --no-kill --cpus-per-task="$SLURM_CPUS_PER_TASK" \
    ray symmetric-run --address "$head:6379" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus "$SLURM_CPUS_PER_TASK" --include-dashboard=false -- \
    speaq predict "$1" --model "$2" --output-dir "$3" \
    --engine ray --address "$head:6379" --device cuda --resume
