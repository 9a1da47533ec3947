#!/bin/sh
# Installs Debian packages whose programs are missing, each given as
# PROGRAM=PACKAGE[,PACKAGE]. Does nothing, and needs nothing, if all are there.
set -eu

missing=
for need in "$@"; do
	command -v "${need%%=*}" >/dev/null 2>&1 ||
		missing="$missing $(printf %s "${need#*=}" | tr , ' ')"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "The tests need what this machine lacks:$missing" >&2
	echo "Install it, on Debian by: sudo apt-get install$missing" >&2
	exit 1
fi

# The tests start servers of their own: a package must not start one for the system.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	trap 'exit 1' HUP INT TERM
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod +x "$policy"
fi

echo "Installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt="apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300"
$apt update
# shellcheck disable=SC2086 # a list of words
$apt install -y --no-install-recommends $missing >/dev/null

# Nor must it start one at the next boot.
if [ -d /run/systemd/system ]; then
	for package in $missing; do
		systemctl disable --quiet "$package" 2>/dev/null || true
	done
fi
