# Cleans up behind one cluster, also when its owner was killed: stdin is a pipe whose other end only the owner holds, and
# initdb, which is left to finish since it cleans up behind itself then, and only then. The server is in this shell's process
# group, so that it is found even if the owner died while starting it.
#
#   $1  the cluster's folder; the server's data is in its folder "data"

trap '' HUP INT QUIT TERM

stopped=
while read -r said; do
    [ "$said" != stopped ] || stopped=1
done

# At once and without a checkpoint, since nothing of it is kept. We ignore this ourselves.
kill -QUIT 0

# The server removes this file when it ends, unless it was killed.
lock=$1/data/postmaster.pid
pid=
[ -r "$lock" ] && read -r pid <"$lock"
tries=500
while [ -z "$stopped" ] && [ -e "$lock" ] && kill -0 "$pid" && [ "$tries" -gt 0 ]; do
    sleep 0.02
    tries=$((tries - 1))
done

# It then leaves a segment of shared memory, too, whose id is the last word of line 7.
[ -r "$lock" ] && ipcrm -m "$(sed -n '7s/.* //p' "$lock")"

tries=50
until rm -rf "$1" || [ "$tries" = 0 ]; do
    sleep 0.02
    tries=$((tries - 1))
done
# Whoever has still not ended, and this shell.
kill -KILL 0
