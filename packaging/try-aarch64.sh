#!/bin/bash
# Builds, compiles and tests this checkout on an emulated aarch64 machine:
#
#     sudo packaging/try-aarch64.sh [FOLDER [STAGE...]]
#
# FOLDER (by default /var/tmp/aes67-aarch64) keeps what was downloaded and compiled, for the next
# run. STAGE: only these of wheel, warmup, order, kernels, protocols, plugin and sound; all need
# a wheel first.
#
# What runs there runs under qemu's user emulation, in namespaces of its own (mounts, processes,
# network): no mount outlives this script. Needs root, debootstrap, qemu-user-static and .venv of
# this checkout; an hour or more where nothing is there yet, for the emulation is slow.
#
# It shows that it builds, compiles and computes the same. It says nothing of speed and of real
# time, nor of the order of memory accesses, which x86 keeps: docs/validation/aarch64.md.
set -eu -o pipefail

source=$(realpath "$(dirname "$0")/..")
folder=$(realpath -m "${1:-/var/tmp/aes67-aarch64}")
root=$folder/root
host=$source/.venv/bin/python
packages=python3,python3-dev,gcc,libc6-dev,libasound2-dev,alsa-utils,iproute2,binutils,ethtool
stages=" ${*:2} "
handler=aes67-aarch64
registered=

say() { echo "$(date +%T) $*"; }
fail() { echo "try-aarch64: $*" >&2; exit 1; }

finish() {
    code=$?
    set +e
    [ -z "$registered" ] || echo -1 > "$folder/binfmt/$handler"
    exit $code
}

[ "$(id -u)" -eq 0 ] || fail "must be root"
for each in qemu-aarch64-static debootstrap; do
    command -v $each > /dev/null || fail "$each is missing"
done
[ -x "$host" ] || fail "no .venv: make setup"
# What is mounted from here on is seen by nobody else and goes with the last process.
if [ "${AES67_TRY_INSIDE:-}" != yes ]; then
    AES67_TRY_INSIDE=yes exec unshare --mount --propagation private "$0" "$folder" "${@:2}"
fi
trap finish EXIT
trap 'exit 130' INT TERM HUP
mkdir -p "$root" "$folder/binfmt"

emulator() { # flag F: opened now, so that programs in another root find it
    mount -t binfmt_misc binfmt_misc "$folder/binfmt"
    if [ "$(uname -m)" = aarch64 ] || grep -qs enabled "$folder"/binfmt/qemu-aarch64*; then return; fi
    local magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
    local mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
    printf '%s' ":$handler:M::$magic:$mask:$(command -v qemu-aarch64-static):F" \
        > "$folder/binfmt/register"
    registered=yes
}

debian() { # unpacked but not configured: to run maintainer scripts under emulation takes very long
    say "Debian 12 for arm64"
    debootstrap --download-only --arch=arm64 --variant=minbase --include=$packages \
        bookworm "$folder/debian" > "$folder/debootstrap.log" || fail "see $folder/debootstrap.log"
    for each in "$folder"/debian/var/cache/apt/archives/*.deb; do dpkg-deb -x "$each" "$root"; done
    cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
    cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
    echo "127.0.0.1 localhost" > "$root/etc/hosts"
    chmod 1777 "$root/tmp"
}

libraries() { # what pip would fetch and unpack there, fetched and unpacked by this machine's pip
    say "Python packages for aarch64"
    local wanted tags
    tags=$(printf -- '--platform manylinux%s_aarch64 ' 2014 _2_17 _2_27 _2_28)
    wanted=$("$host" -c '
import re, sys, tomllib
project = tomllib.load(open(sys.argv[1], "rb"))["project"]
tests = [each for each in project["optional-dependencies"]["test"]
         if re.match("setuptools|pytest|hypothesis|httpx", each)]
print(*project["dependencies"], *tests, "pip")' "$source/pyproject.toml")
    # shellcheck disable=SC2086
    "$host" -m pip download -q --only-binary=:all: $tags --python-version 311 \
        --implementation cp -d "$folder/wheels" $wanted
    # shellcheck disable=SC2086
    "$host" -m pip install -q --no-index --no-deps --no-compile --only-binary=:all: $tags \
        --python-version 311 --implementation cp --upgrade \
        --target "$root/usr/local/lib/python3.11/dist-packages" "$folder"/wheels/*.whl
}

cat > "$folder/enter" <<'ENTER'
set -e
root=$1
mount -t proc proc "$root/proc"
mkdir -p "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
while read -r name major minor; do mknod -m 666 "$root/dev/$name" c "$major" "$minor"; done <<NODES
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
NODES
mkdir -m 1777 "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"
ip link set lo up
exec chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    AES67_CACHE_DIR=/root/kernels /bin/bash -ec "cd /src; $2"
ENTER

inside() { # stage, command, what to show of its output, lines of that
    [ "$stages" = "  " ] || [[ "$stages" = *" $1 "* ]] || return 0
    say "$1"
    if unshare --mount --pid --fork --kill-child --net /bin/bash "$folder/enter" "$root" "$2" \
        > "$folder/$1.log" 2>&1; then
        grep -E "${3:-passed}" "$folder/$1.log" | tail "-${4:-1}" | sed 's/^/    /' || true
    else
        tail -15 "$folder/$1.log" | sed 's/^/    /'
        echo "FAILED: $1 ($folder/$1.log)"
        failed=yes
    fi
}

failed=
emulator
[ -e "$root/etc/passwd" ] || debian
[ -e "$root/usr/local/lib/python3.11/dist-packages/numba" ] || libraries
rm -rf --one-file-system "$root/src" "$root/root/dist"
mkdir -p "$root/src"
git -C "$source" archive HEAD | tar -x -C "$root/src"

inside wheel 'python3 -m pip wheel -v --no-deps --no-index --no-build-isolation -w /root/dist .
    python3 -m pip install --no-deps --no-index --force-reinstall --break-system-packages /root/dist/*.whl
    python3 -m zipfile -l /root/dist/*.whl
    cd /usr/local/lib/python3*/dist-packages/aes67/alsa
    readelf -hd *.so' 'whl$|Machine|NEEDED|LOAD' 20
inside warmup 'time python3 -m aes67.engine.warmup' 'compiled|real' 5
pytest='python3 -m pytest -q -p no:cacheprovider --timeout=1200'
inside order "$pytest tests/engine/test_atomics.py"
inside kernels "$pytest tests/media tests/clock tests/engine/test_planar.py"
inside protocols "$pytest tests/wire tests/ptp tests/shm"
inside plugin "$pytest tests/plugin/test_plugin_pure.py tests/plugin/test_plugin_names.py \
    tests/plugin/test_plugin_object.py"
if [ "$stages" = "  " ] || [[ "$stages" = *" sound "* ]]; then
    say "sound: aplay and arecord of aarch64, an engine of this machine"
    "$host" "$source/packaging/try_aarch64_sound.py" "$root" \
        /usr/local/lib/python3.11/dist-packages/aes67/alsa | sed -u 's/^/    /' || failed=yes
fi
[ -z "$failed" ] || exit 1
say "nothing failed"
