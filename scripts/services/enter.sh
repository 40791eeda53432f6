#!/bin/sh
# Runs a program in a folder that debian.sh made, as "nobody" and in the same working folder, in place of this process:
# whoever started it may signal it. It is called with mounts of its own (unshare --mount), which end with the program.
#
#   enter.sh ROOT PROGRAM ARGUMENT...
set -eu

root=$1
shift
mount --bind /proc "$root/proc"
mount --rbind /dev "$root/dev"
for folder in /tmp ${TMPDIR:+"$TMPDIR"}; do # where tests and scripts keep a server's data
	mkdir -p "$root$folder"
	mount --bind "$folder" "$root$folder"
done
# shellcheck disable=SC2016 # the inner shell's
exec chroot --userspec="$(id -u nobody):$(id -g nobody)" "$root" /bin/sh -c 'cd "$0" && exec "$@"' "$PWD" "$@"
