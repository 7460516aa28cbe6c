# Starts and stops the processes of one control plane, and cleans up after them whatever happens to the program that asked
# for them. That program holds the other end of this script's standard input: when it goes, however it goes (end, panic,
# SIGKILL), `read` sees the end of the file. A process group of its own keeps Ctrl-C in a terminal away from here.
#
# First answer: the folder that it made. Then one answer for each line that it reads:
#   start NAME   runs the program and arguments in FOLDER/NAME.args (one a line)   started PID
#   stop NAME    TERM, and KILL after 5 s                                          stopped
#   kill NAME    KILL                                                              stopped
#   alive NAME                                                                     yes | no
set -u
trap '' HUP INT PIPE
dir=$(mktemp -d "${TMPDIR:-/tmp}/controlplane.XXXXXX") || exit 1
exec 2>>"$dir/supervisor.log"
# Newest first, which is the order to stop them in: an API server without its etcd does not end within a minute.
started=''

# The `sleep` is needed: some shells only notice an ended child while they wait for a command in the foreground.
running() {
    sleep 0
    kill -0 "$1" 2>/dev/null
}

start() {
    name=$1
    set --
    while IFS= read -r argument; do set -- "$@" "$argument"; done <"$dir/$name.args"
    (cd "$dir" && exec "$@") </dev/null >>"$dir/$name.log" 2>&1 &
    echo "$!" >"$dir/$name.pid"
    started="$name $started"
    echo "started $!"
}

# stop NAME TENTHS: how long to wait before KILL.
stop() {
    [ -f "$dir/$1.pid" ] || return 0
    pid=$(cat "$dir/$1.pid")
    left=$2
    [ "$left" -gt 0 ] && running "$pid" && kill -TERM "$pid" 2>/dev/null
    while [ "$left" -gt 0 ] && running "$pid"; do
        sleep 0.1
        left=$((left - 1))
    done
    running "$pid" && kill -KILL "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    rm -f "$dir/$1.pid"
}

finish() {
    for each in $started; do
        case $each in
        # Nothing that they hold is kept, so nothing is gained by asking politely.
        etcd | kube-*) stop "$each" 0 ;;
        *) stop "$each" 50 ;;
        esac
    done
    rm -rf "$dir"
}

trap 'finish; exit 143' TERM
echo "$dir"
while read -r verb name; do
    case $verb in
    start) start "$name" ;;
    stop) stop "$name" 50 && echo stopped ;;
    kill) stop "$name" 0 && echo stopped ;;
    alive)
        if [ -f "$dir/$name.pid" ] && running "$(cat "$dir/$name.pid")"; then echo yes; else echo no; fi
        ;;
    *) echo "what is $verb?" ;;
    esac
done
finish
