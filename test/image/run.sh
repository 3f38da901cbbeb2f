#!/bin/sh
# Runs a program as a container runtime would run it from an image that is mounted read-only: in a file system, process tree and IPC of
# its own, without privileges, and with nothing to write to but the state volume. The network is this machine's.
#
#   run.sh ROOT CONFIG STATE UID:GID PROGRAM [ARGUMENT...]
#
# The environment is passed on. CONFIG and STATE are directories that stand for the volumes /etc/hallux (read-only) and /var/lib/hallux. Needs root.
set -eu

if [ "${1:-}" != --inside ]; then
  exec unshare --mount --pid --ipc --uts --fork "$0" --inside "$@"
fi
root=$2 config=$3 state=$4 user=$5
shift 5

mount --make-rprivate /
mount --bind "$root" "$root"
mkdir -p "$root/etc/hallux"
mount -t proc proc "$root/proc"
for device in null zero random urandom; do
  mount --bind "/dev/$device" "$root/dev/$device"
done
mount --bind "$config" "$root/etc/hallux"
mount --bind "$state" "$root/var/lib/hallux"
mount -o remount,bind,ro "$root/etc/hallux"
mount -o remount,bind,ro "$root"
cd "$root"
exec setpriv --no-new-privs chroot --userspec="$user" --groups= "$root" "$@"
