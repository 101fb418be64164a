# Cleans up behind one cluster, also when its owner was killed: stdin is a pipe whose other end only the owner holds.
# The server is in this shell's process group, so that it is found even if the owner died while starting it.
#
#   $1  the cluster's folder; the server's data is in its folder "data"

trap '' HUP INT QUIT TERM

stopped=
while read -r said; do stopped=$said; done

# At once and without a checkpoint, since nothing of it is kept. We ignore this ourselves.
kill -QUIT 0

# Any further member of the group has ended when the server has; a name that is taken from a stale file costs only time.
pid=
lock=$1/data/postmaster.pid
[ -r "$lock" ] && read -r pid <"$lock"
tries=200
while [ -z "$stopped" ] && [ -n "$pid" ] && kill -0 "$pid" && [ "$tries" -gt 0 ]; do
    sleep 0.05
    tries=$((tries - 1))
done

# A server that was killed leaves this file, and a segment of shared memory, whose id is the last word of line 7.
[ -r "$lock" ] && ipcrm -m "$(sed -n '7s/.* //p' "$lock")"

tries=20
until rm -rf "$1" || [ "$tries" = 0 ]; do
    sleep 0.05
    tries=$((tries - 1))
done
# Whoever has still not ended, and this shell.
kill -KILL 0
