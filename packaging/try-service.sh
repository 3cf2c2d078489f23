#!/bin/bash
# Boots a systemd of its own and has it run the installed service: `sudo packaging/try-service.sh`.
#
# The systemd lives in namespaces of its own (processes, mounts, network, cgroups) over a copy of
# the root file system that is thrown away; /dev, /run, /tmp and /var/log are empty ones, /sys and
# /proc/sys are read-only, and what would touch devices or kernel settings is masked. Needs root,
# overlayfs, cgroup v2 and systemd; takes about a minute, several where nothing is compiled yet.
set -eu

program=$(realpath "${1:-$(dirname "$0")/../.venv/bin/aes67}" --no-symlinks)
work=$(mktemp -d "${TRY_SERVICE_DIR:-/var/tmp}/aes67-systemd-XXXXXX")
group=$(findmnt -rn -t cgroup2 -o TARGET | head -1)/aes67-try-$$
parent=

finish() {
    code=$?
    set +e
    # the first process of a PID namespace takes all others with it
    [ -n "$parent" ] && kill -KILL "$parent" && wait "$parent" 2>/dev/null
    for _ in 1 2 3 4 5; do
        find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null
        [ -d "$group" ] || break
        sleep 1
    done
    rm -rf --one-file-system "$work"
    exit $code
}
trap finish EXIT

cat > "$work/boot" <<'BOOT'
set -eu
work=$1 program=$2 root=$1/layers/root
mount --make-rprivate /
mkdir "$work/layers"
mount -t tmpfs tmpfs "$work/layers"
mkdir "$work/layers/upper" "$work/layers/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/layers/upper,workdir=$work/layers/work" "$root"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,ro,bind "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for each in dev run tmp var/tmp var/log; do mount -t tmpfs -o mode=755 tmpfs "$root/$each"; done
chmod 1777 "$root/tmp" "$root/var/tmp"
for each in "null 1 3" "zero 1 5" "full 1 7" "random 1 8" "urandom 1 9" "tty 5 0"; do
    read -r name major minor <<< "$each"
    mknod -m 666 "$root/dev/$name" c "$major" "$minor"
done
mkdir "$root/dev/pts" "$root/dev/shm" "$root/run/lock" "$root/old"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs tmpfs "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"
chmod go+x "$root/root"
for each in systemd-udevd systemd-udev-trigger systemd-sysctl systemd-modules-load \
    systemd-random-seed systemd-remount-fs systemd-binfmt systemd-hwdb-update \
    systemd-update-utmp systemd-timesyncd systemd-networkd systemd-logind dbus; do
    ln -sf /dev/null "$root/etc/systemd/system/$each.service"
done
rm -f "$root/etc/daemon.conf"
ip link set lo up
cd "$root"
pivot_root . old
exec chroot . /bin/bash -c '
    umount -l /old
    mkdir -p /etc/aes67
    echo "{\"interface_name\": \"lo\", \"clock_mode\": \"gm\", \"syslog_proto\": \"none\"," \
        "\"status_file\": \"/var/lib/aes67/status.json\"}" > /etc/aes67/daemon.conf
    "$0" service install && exec env container=other /lib/systemd/systemd --system \
        --unit=aes67.service --log-target=null --show-status=0' "$program"
BOOT

mkdir "$group"
(
    echo $BASHPID > "$group/cgroup.procs"
    exec unshare --mount --pid --cgroup --net --uts --ipc --fork --kill-child=KILL \
        /bin/bash "$work/boot" "$work" "$program"
) < /dev/null &
parent=$!

inside() { nsenter -t "$init" -m -p -n -i -r -w "$@"; }
shown() { inside systemctl show aes67 -p "$1" --value; }
check() { # what, command...
    local what=$1 end=$((SECONDS + ${patience:-60}))
    shift
    until "$@" > /dev/null 2>&1; do
        if [ $SECONDS -ge $end ]; then
            echo "FAILED: $what"
            inside systemctl status aes67 --no-pager --full --lines=50 || true
            exit 1
        fi
        sleep 0.5
    done
    echo "ok: $what"
}
is() { [ "$(shown "$1")" = "$2" ]; }
booted() { init=$(pgrep -P "$parent" -x systemd); }
child() { inside pgrep -P "$(shown MainPID)" -f "$1"; }
says() { inside grep -qE "$2" "/proc/$(child "$1")/status"; }
cannot_write() { ! inside nsenter -t "$(shown MainPID)" -m touch "$1"; }
answers() { inside curl -fs http://127.0.0.1:8080/api/version; }
restarted() { [ "$(shown MainPID)" != "$main" ] && is ActiveState active && answers; }
other_engine() { [ "$(child aes67.engine.main)" != "$engine" ] && child aes67.engine.main; }

init=
check "systemd runs" booted
patience=600 check "active by READY=1 (Type=notify)" is ActiveState active
check "its status text is the daemon's" is StatusText Working
check "HTTP answers" answers
user=$(shown User)
check "user $user" inside sh -c "[ $user = aes67 ] && [ \$(stat -c %U /proc/$(shown MainPID)) = aes67 ]"
check "the engine has CAP_NET_BIND_SERVICE and CAP_SYS_NICE" \
    says aes67.engine.main '^CapEff:\s0*800400$'
check "control has no rights" says aes67_api.main '^CapEff:\s0*$'
check "no new privileges, a system call filter" says aes67_api.main '^Seccomp:\s2'
for path in /etc/x /usr/x /var/x /sys/x; do check "$path cannot be written" cannot_write $path; done
main=$(shown MainPID)
check "reload" inside systemctl reload aes67
check "reload keeps the process" [ "$(shown MainPID)" = "$main" ]
engine=$(child aes67.engine.main)
inside kill -KILL "$engine"
check "an engine that was killed is replaced" other_engine
inside kill -STOP "$main"
patience=120 check "the watchdog ends a daemon that hangs, and starts it again" restarted
check "stop" inside systemctl stop aes67
check "it ended cleanly" is Result success
