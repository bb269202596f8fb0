#!/usr/bin/env bash
# A real SLURM cluster for tests, on this machine alone: controller, nodes with pretended graphics cards, accounting.
#
#   slurm_cluster.sh start DIR [options]    bring it up, run a job through it, return (some 7 s; 3 s without accounting)
#   slurm_cluster.sh stop DIR               stop what this DIR started and keep its files; `start` continues with them
#   slurm_cluster.sh purge DIR              stop, then remove DIR
#   slurm_cluster.sh status DIR             exit with 0 when the controller answers
#   slurm_cluster.sh packages [options]     print the Debian packages that are missing; exit with 0 when none is
#
#   --nodes N (2)  --cpus N (2)  --mem MB (4000)  --gpus N (1)     of which each node has as many
#   --port N (26800)      N to N+9+nodes on 127.0.0.1 are used
#   --max-array N (1001)  the MaxArraySize of the cluster
#   --no-accounting       without slurmdbd and database: sacct fails, as on many small clusters
#   --preempt-signal      a job that is pre-empted gets its --signal first
#   --install             apt-get what is missing; without it nothing is ever installed
#
# Needs root. After `. DIR/env.sh`, which sets SLURM_CONF, every SLURM command talks to this cluster.
# Partitions: debug (default); low and spare are pre-empted by high: low requeues its jobs, spare cancels them.
set -euo pipefail

CREDENTIAL_SECONDS=5  # also how long a requeued job is held back; 120 unless said
SERVER_PACKAGES="munge slurmctld slurmd slurm-client slurm-wlm-basic-plugins"
ACCOUNTING_PACKAGES="slurmdbd slurm-wlm-mysql-plugin mariadb-server-core mariadb-client-core"

fail() { echo "${0##*/}: $*" >&2; exit 1; }
tell() { printf '[%3ds] %s\n' "$SECONDS" "$*"; }

read_options() {
  nodes=2 cpus=2 mem=4000 gpus=1 port=26800 max_array=1001 accounting=yes preempt_signal=no install=no
  while [ $# -gt 0 ]; do
    case $1 in
      --nodes) nodes=$2; shift ;;
      --cpus) cpus=$2; shift ;;
      --mem) mem=$2; shift ;;
      --gpus) gpus=$2; shift ;;
      --port) port=$2; shift ;;
      --max-array) max_array=$2; shift ;;
      --no-accounting) accounting=no ;;
      --preempt-signal) preempt_signal=yes ;;
      --install) install=yes ;;
      *) fail "unknown option $1" ;;
    esac
    shift
  done
  db_port=$port dbd_port=$((port + 1)) ctld_port=$((port + 2)) node_port=$((port + 10))
}

# ---- waiting, and telling whether something runs

wait_for() { # SECONDS WHAT COMMAND...
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      tail -n 8 "$dir"/log/*.log >&2 || true
      fail "$what did not come up in time; above are the last lines of the logs"
    fi
    sleep 0.1
  done
}

is_listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

is_running() { # PID; a zombie is not, and pid 1 of a container may never wait for its children
  [ -r "/proc/$1/stat" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null
}

# ---- stopping: only a recorded process that still has the name of its program

stop_one() { # PIDFILE PROGRAM
  [ -s "$1" ] || return 0
  local pid
  pid=$(<"$1")
  if grep -q "^$2" "/proc/$pid/comm" 2>/dev/null; then
    kill -TERM "$pid" 2>/dev/null || true
    for _ in $(seq 100); do is_running "$pid" || break; sleep 0.1; done
    ! is_running "$pid" || kill -KILL "$pid" 2>/dev/null || true
  fi
  rm -f "$1"
}

stop_all() {
  if [ -s "$dir/run/ctld.pid" ] && [ -r "$dir/env.sh" ]; then
    (
      . "$dir/env.sh"
      timeout 10 scancel --state=PENDING 2>/dev/null
      timeout 10 scancel --signal=KILL --full --state=RUNNING 2>/dev/null
      timeout 10 scancel --state=RUNNING 2>/dev/null
    ) || true
    sleep 0.5
  fi
  stop_one "$dir/run/ctld.pid" slurmctld
  local file
  for file in "$dir"/run/slurmd.*.pid; do stop_one "$file" slurmd; done
  stop_one "$dir/run/dbd.pid" slurmdbd
  stop_one "$dir/run/mariadbd.pid" mariadbd
  stop_one "$dir/run/munged.pid" munged
}

# ---- packages

missing_packages() {
  local wanted=$SERVER_PACKAGES package
  [ "$accounting" = no ] || wanted="$wanted $ACCOUNTING_PACKAGES"
  for package in $wanted; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || printf '%s ' "$package"
  done
}

install_packages() { # PACKAGE...; no daemon of theirs is started
  local policy=/usr/sbin/policy-rc.d made=no
  [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod 755 "$policy"; made=yes; }
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"; } \
    >"$dir/apt.log" 2>&1 || { tail "$dir/apt.log" >&2; fail "apt-get failed"; }
  [ "$made" = no ] || rm -f "$policy"
  tell "installed $*"
}

# ---- the daemons, in the order in which they need each other

start_munge() { # a key and a socket of its own
  socket=$dir/run/munge.sock
  [ -s "$dir/munge/key" ] || (umask 077; head -c 1024 /dev/urandom >"$dir/munge/key")
  munged --force --num-threads=2 --socket="$socket" --key-file="$dir/munge/key" --seed-file="$dir/munge/seed" \
    --pid-file="$dir/run/munged.pid" --log-file="$dir/log/munged.log" 2>"$dir/log/munged.err"
  wait_for 20 munged munge -n --socket="$socket" -o /dev/null
}

start_database() {
  if [ ! -d "$dir/db/mysql" ]; then
    mariadb-install-db --no-defaults --user=root --datadir="$dir/db" --auth-root-authentication-method=normal \
      --skip-test-db --skip-name-resolve >"$dir/log/install-db.log" 2>&1 || fail "see $dir/log/install-db.log"
  fi
  [ -s "$dir/etc/password" ] || (umask 077; od -An -tx1 -N12 /dev/urandom | tr -d ' \n' >"$dir/etc/password")
  password=$(<"$dir/etc/password")
  (
    umask 077 # root may not log in over TCP: the user is created while the server starts
    cat >"$dir/etc/init.sql" <<SQL
CREATE DATABASE IF NOT EXISTS slurm_acct_db;
CREATE OR REPLACE USER 'slurm'@'127.0.0.1' IDENTIFIED BY '$password';
GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';
SQL
  )
  setsid mariadbd --no-defaults --user=root --datadir="$dir/db" --socket="$dir/run/db.sock" \
    --pid-file="$dir/run/mariadbd.own.pid" --bind-address=127.0.0.1 --port="$db_port" --skip-name-resolve \
    --init-file="$dir/etc/init.sql" --innodb-buffer-pool-size=64M --innodb-log-file-size=16M \
    --innodb-lock-wait-timeout=900 --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 \
    --max-connections=40 --performance-schema=OFF >"$dir/log/mariadbd.log" 2>&1 </dev/null &
  echo $! >"$dir/run/mariadbd.pid"
  disown
  wait_for 60 mariadbd \
    mariadb --no-defaults -h 127.0.0.1 -P "$db_port" -u slurm -p"$password" -e 'select 1' slurm_acct_db
}

start_accounting() {
  (
    umask 077 # slurmdbd refuses a file that others can read
    cat >"$dir/etc/slurmdbd.conf" <<CONF
AuthType=auth/munge
AuthInfo=socket=$socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$dbd_port
SlurmUser=root
PidFile=$dir/run/dbd.pid
LogFile=$dir/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$db_port
StorageUser=slurm
StoragePass=$password
StorageLoc=slurm_acct_db
CONF
  )
  slurmdbd # finds its file beside $SLURM_CONF
  wait_for 60 slurmdbd is_listening "$dbd_port"
  wait_for 60 sacctmgr sacctmgr -n -i list cluster
  # Each fails when it is there already. The cluster must be known before its controller starts.
  sacctmgr -i add cluster ci >/dev/null 2>&1 || true
  sacctmgr -i add account ci Description=ci Organization=ci >/dev/null 2>&1 || true
  sacctmgr -i add user root Account=ci AdminLevel=Admin >/dev/null 2>&1 || true
}

range() { # PREFIX FIRST LAST: one name, or a list as SLURM writes it
  if [ "$2" = "$3" ]; then echo "$1$2"; else echo "$1[$2-$3]"; fi
}

write_gres() { # null devices under the name of a card: jobs get CUDA_VISIBLE_DEVICES
  : >"$dir/etc/gres.conf"
  [ "$gpus" -gt 0 ] || return 0
  local number
  for number in $(seq 0 $((gpus - 1))); do
    [ -e "$dir/dev/nvidia$number" ] || mknod "$dir/dev/nvidia$number" c 1 3
  done
  echo "NodeName=$(range n 1 "$nodes") Name=gpu File=$(range "$dir/dev/nvidia" 0 $((gpus - 1)))" >"$dir/etc/gres.conf"
}

write_slurm_conf() {
  local host accounting_lines gres=""
  host=$(hostname -s)
  [ "$gpus" -eq 0 ] || gres="Gres=gpu:$gpus"
  if [ "$accounting" = yes ]; then
    accounting_lines="AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$dbd_port
AccountingStoragePass=$socket
AccountingStorageTRES=gres/gpu
AccountingStorageEnforce=associations
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2"
  else
    accounting_lines="AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none"
  fi
  [ "$preempt_signal" = no ] || accounting_lines="$accounting_lines
SlurmctldParameters=preempt_send_user_signal"
  cat >"$dir/etc/slurm.conf" <<CONF
ClusterName=ci
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$ctld_port
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$socket,cred_expire=$CREDENTIAL_SECONDS
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/run/ctld.pid
SlurmdPidFile=$dir/run/slurmd.%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.%n.log
MailProg=/bin/true
MpiDefault=none
# no cgroups: neither cores nor memory are enforced, only counted
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,requeue_delay=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
SlurmdTimeout=10
KillWait=5
CompleteWait=0
MaxArraySize=$max_array
$accounting_lines
GresTypes=gpu
NodeName=$(range n 1 "$nodes") NodeHostname=$host NodeAddr=127.0.0.1 \
Port=$(range "" "$node_port" $((node_port + nodes - 1))) CPUs=$cpus RealMemory=$mem $gres State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
PartitionName=low Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=5
PartitionName=spare Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=CANCEL GraceTime=5
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=20 PreemptMode=OFF
CONF
  echo "export SLURM_CONF=$dir/etc/slurm.conf" >"$dir/env.sh"
}

start_slurm() {
  local number
  slurmctld
  wait_for 30 slurmctld sh -c 'scontrol ping | grep -q UP'
  for number in $(seq "$nodes"); do slurmd -N "n$number"; done
  wait_for 60 "every node" all_idle
}

all_idle() { [ "$(sinfo -h -N -p debug -t idle -o %N | sort -u | wc -l)" = "$nodes" ]; }

run_a_job() {
  job=$(sbatch --parsable --wait --mem=1 -o "$dir/log/first_job.out" --wrap 'echo ran $SLURM_JOB_ID')
  grep -q "^ran $job" "$dir/log/first_job.out" || fail "the first job did not run; see $dir/log"
  [ "$accounting" = no ] || wait_for 30 sacct is_accounted
}

is_accounted() { sacct -n -X -j "$job" -o State | grep -q COMPLETED; }

start() {
  [ "$(id -u)" = 0 ] || fail "only root can start it"
  [ ${#dir} -le 70 ] || fail "the path is too long for the sockets in it (at most 70 characters): $dir"
  local missing number
  missing=$(missing_packages)
  if [ -n "$missing" ]; then
    [ "$install" = yes ] || fail "missing packages: ${missing% }; install them, or let --install do it"
    # shellcheck disable=SC2086
    install_packages $missing
  fi
  [ ! -s "$dir/run/ctld.pid" ] || ! is_running "$(<"$dir/run/ctld.pid")" || fail "it runs already in $dir"
  for number in "$db_port" "$dbd_port" "$ctld_port" $(seq "$node_port" $((node_port + nodes - 1))); do
    ! is_listening "$number" || fail "port $number is taken; choose another --port"
  done
  mkdir -p "$dir"/{run,log,state,spool,munge,etc,dev,db}
  chmod 755 "$dir" "$dir"/{run,log,etc}
  chmod 700 "$dir/munge"
  trap 'code=$?; [ "$code" = 0 ] || stop_all; exit "$code"' EXIT # a failed start leaves nothing running
  export SLURM_CONF=$dir/etc/slurm.conf
  start_munge
  [ "$accounting" = no ] || start_database
  write_gres
  write_slurm_conf
  [ "$accounting" = no ] || { start_accounting; tell "accounting is up"; }
  start_slurm
  tell "$nodes nodes are up"
  run_a_job
  tell "ready: . $dir/env.sh"
}

verb=${1:-}
case $verb in
  packages)
    shift
    read_options "$@"
    missing=$(missing_packages)
    [ -z "$missing" ] || { echo "${missing% }"; exit 1; }
    ;;
  start | stop | purge | status)
    [ $# -ge 2 ] || fail "$verb: which folder?"
    mkdir -p "$2"
    dir=$(cd "$2" && pwd)
    shift 2
    read_options "$@"
    case $verb in
      start) start ;;
      stop) stop_all ;;
      purge) stop_all; rm -rf "$dir" ;;
      status)
        [ -r "$dir/env.sh" ] || fail "there is no cluster in $dir"
        . "$dir/env.sh"
        timeout 10 scontrol ping && sinfo -N
        ;;
    esac
    ;;
  *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2 ;;
esac
