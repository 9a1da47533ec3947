#!/bin/sh
# Runs every fuzz target of the service's module for the time given, such as 3s.
set -eu

go=${GO:-go}
time=${1:?how long, such as 3s}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
: >"$work/targets"

# run fuzzes one target; what Go prints is shown as it comes, and kept.
run() {
	echo "fuzz $1 $2"
	{
		"$go" test -run='^$' -fuzz="^$2\$" -fuzztime="$time" -fuzzminimizetime=20x "$1" </dev/null 2>&1 && : >"$work/passed"
	} | tee "$work/out"
	[ -e "$work/passed" ] && rm "$work/passed"
}

# spurious tells a finding, which names the input that it wrote, from Go's own
# complaint that the time was up. That is golang/go#75804, mended in Go 1.27.
spurious() {
	grep -q '^ *context deadline exceeded$' "$work/out" && ! grep -q 'Failing input' "$work/out"
}

# show prints the input of a finding, for where the folder is soon gone.
show() {
	sed -n 's/.*Failing input written to //p' "$work/out" | while read -r input; do
		echo "--- $1/$input" && cat "$1/$input"
	done
}

packages=$(grep -rl --include='*_test.go' --exclude-dir=tools --exclude-dir=test '^func Fuzz' . | xargs -r -n 1 dirname | sort -u)
[ -n "$packages" ] || { echo "fuzz: there are no fuzz targets" >&2; exit 1; }

failed=
for package in $packages; do
	if "$go" test -list '^Fuzz' "$package" >"$work/list"; then
		sed -n "s|^Fuzz|$package &|p" "$work/list" >>"$work/targets"
	else
		cat "$work/list" >&2
		failed="$failed $package"
	fi
done
while read -r package target; do
	run "$package" "$target" && continue
	if spurious && run "$package" "$target"; then continue; fi
	show "$package"
	failed="$failed $package:$target"
done <"$work/targets"
[ -z "$failed" ] || { echo "fuzz: failed:$failed" >&2; exit 1; }
