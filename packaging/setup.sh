#!/usr/bin/env bash
# Makes a checkout ready: system packages (Debian, Ubuntu) and .venv with the commands aes67 and
# aes67-daemon. Run it as often as you like; it does nothing when nothing is to do.
set -euo pipefail
cd "$(dirname "$0")/.."

PACKAGES=(
    gcc make libc6-dev libasound2-dev python3 python3-venv python3-dev          # to build
    alsa-utils iproute2 util-linux ethtool linuxptp                             # to run the demo
    tshark gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good
    gstreamer1.0-plugins-bad gstreamer1.0-alsa ffmpeg sox libsox-fmt-alsa       # to test
    clang clang-format strace                                                   # to test
    avahi-daemon avahi-utils dbus systemd                                       # to test
)
STAMP=.venv/.setup-done

say() { printf '%s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

installed() { dpkg-query -W -f='${db:Status-Abbrev}' "$1" 2>/dev/null | grep -q '^ii'; }

known() { apt-cache show "$1" >/dev/null 2>&1; }

missing() {
    local package
    for package in "$@"; do installed "$package" || printf '%s ' "$package"; done
}

python_ok() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if command -v "$name" >/dev/null && python_ok "$name"; then command -v "$name"; return; fi
    done
}

apt_install() {
    local wanted=("$@")
    if [ "$(id -u)" -ne 0 ]; then
        say "These packages are missing. Install them, then run the same command again:"
        say
        say "    sudo apt-get update && sudo apt-get install --no-install-recommends ${wanted[*]}"
        say
        exit 1
    fi
    say "setup: installing ${wanted[*]}"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" \
        </dev/null >/dev/null
}

refresh_lists() {
    [ "$(id -u)" -eq 0 ] || return 0
    apt-get update -qq </dev/null || say "setup: apt-get update failed; going on with the lists there are"
}

# What will turn out to be missing once the packages above are there, so that one command is enough.
foreseen() {
    local major runtime
    major=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p' || true)
    runtime="libclang-rt-${major%%[!0-9]*}-dev"
    installed "$runtime" || ! known "$runtime" || printf '%s ' "$runtime"
    [ -n "$(find_python)" ] || ! known python3.11 ||
        printf '%s ' python3.11 python3.11-venv python3.11-dev
}

system_packages() {
    command -v dpkg-query >/dev/null || {
        say "setup: no dpkg here; install what packaging/setup.sh names with your own package manager"
        return
    }
    local wanted refreshed=no
    read -ra wanted <<<"$(missing "${PACKAGES[@]}")"
    if [ "${#wanted[@]}" -gt 0 ]; then
        refresh_lists
        refreshed=yes
        read -ra wanted <<<"${wanted[*]} $(foreseen)"
        apt_install "${wanted[@]}"
    fi
    # Python 3.11 has its own package names where the system's Python is older (Ubuntu 22.04).
    if [ -z "$(find_python)" ]; then
        [ $refreshed = yes ] || { refresh_lists; refreshed=yes; }
        known python3.11 || fail "Python 3.11 or newer is needed and this system offers none"
        apt_install python3.11 python3.11-venv python3.11-dev
    fi
    # The sanitizers' runtime is a package of its own, named by clang's version, on newer systems.
    local major runtime
    major=$(clang -dumpversion 2>/dev/null | cut -d. -f1)
    runtime="libclang-rt-$major-dev"
    if [ -n "$major" ] && ! installed "$runtime"; then
        [ $refreshed = yes ] || [ -f "$STAMP" ] || refresh_lists
        if known "$runtime"; then apt_install "$runtime"; fi
    fi
}

state() {
    cat pyproject.toml setup.py packaging/setup.sh alsa_plugin/*.[ch] 2>/dev/null | sha256sum
    .venv/bin/python -V
    pwd
}

virtual_environment() {
    if [ -x .venv/bin/python ] && [ "$(cat "$STAMP" 2>/dev/null)" = "$(state 2>&1)" ]; then return; fi
    if ! [ -x .venv/bin/python ] || ! python_ok .venv/bin/python; then
        local python
        python=$(find_python)
        [ -n "$python" ] || fail "Python 3.11 or newer is needed; found only $(python3 -V 2>&1)"
        say "setup: creating .venv with $("$python" -V)"
        rm -rf .venv
        "$python" -m venv .venv || fail "$python cannot create .venv; its venv package is missing"
    fi
    say "setup: installing the project into .venv (the first time takes a few minutes)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
        --editable '.[test]' </dev/null
    state >"$STAMP"
}

system_packages
virtual_environment
