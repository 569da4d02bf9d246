# Makes one cluster of the nodes, or brings those in that came back empty. Arguments: the nodes' names.
set -eu

addresses=""
for name in "$@"; do
  until address=$(getent hosts "$name") && address=${address%% *} && [ "$(redis-cli -h "$address" ping)" = PONG ]; do
    echo "waiting for $name"
    sleep 1
  done
  addresses="$addresses $address"
done

member="" empty=""
for address in $addresses; do
  if redis-cli -h "$address" cluster info | grep -q '^cluster_known_nodes:1[^0-9]*$'; then
    empty="$empty $address"
  else
    member=$address
  fi
done

# A master that is gone with its replica took slots along. What was there were answers, which are asked for again: the
# cluster is made anew.
if [ -n "$member" ] && ! redis-cli -h "$member" cluster info | grep -q '^cluster_slots_ok:16384'; then
  for address in $addresses; do
    redis-cli -h "$address" flushall || true # a replica says no
    redis-cli -h "$address" cluster reset hard
  done
  member=""
fi

if [ -z "$member" ]; then
  nodes=""
  for address in $addresses; do nodes="$nodes $address:6379"; done
  # shellcheck disable=SC2086 # several words for a reason
  redis-cli --cluster create $nodes --cluster-replicas 1 --cluster-yes
  exit
fi

# Nodes that are gone for good are forgotten by everyone, then their places are taken.
redis-cli -h "$member" cluster nodes | while read -r id at flags rest; do
  case $flags in
    *fail | *noaddr*)
      echo "forgetting $id ($at $rest)"
      for address in $addresses; do redis-cli -h "$address" cluster forget "$id" || true; done
      ;;
  esac
done
for address in $empty; do
  redis-cli --cluster add-node "$address:6379" "$member:6379" --cluster-slave
done
