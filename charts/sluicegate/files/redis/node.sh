# One node of the cluster. Its configuration goes in by standard input, so that a password stands on no command line.
{
  echo "port 6379"
  echo "protected-mode no"
  echo "cluster-enabled yes"
  echo "cluster-config-file /data/nodes.conf"
  echo "cluster-node-timeout 2000"
  # A slot without a master costs its own answers, not everybody's.
  echo "cluster-require-full-coverage no"
  echo "dir /data"
  echo 'save ""'
  echo "appendonly no"
  echo "maxmemory $MAX_MEMORY"
  echo "maxmemory-policy allkeys-lru"
  if [ -n "${REDISCLI_AUTH:-}" ]; then
    echo "requirepass \"$REDISCLI_AUTH\""
    echo "masterauth \"$REDISCLI_AUTH\""
  fi
} | exec redis-server -
