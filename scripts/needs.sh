# Sourced by the scripts here.

# needs COMMAND DEBIAN-PACKAGE [TEST...]: installs the Debian package, as root or by sudo, unless the test succeeds; the
# test is whether the command is there, if none is given.
needs() {
    local command=$1 package=$2
    shift 2
    [ $# -gt 0 ] || set -- command -v "$command"
    "$@" >/dev/null 2>&1 && return
    local as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo)
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "needs $command; install it (Debian calls the package $package)" >&2
        exit 1
    fi
    if [ -z "${APT_IS_FRESH:-}" ]; then
        "${as_root[@]}" apt-get update -q
        APT_IS_FRESH=1
    fi
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$package"
}
