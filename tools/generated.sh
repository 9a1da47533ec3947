#!/bin/sh
# Checks that generated files are what their generators write: generates them
# anew, and fails if that changed any file. What is new stays, to be committed.
set -eu

grep -rq --include='*.go' --exclude-dir=.git '^//go:generate ' . || exit 0

sums() {
	find . -type f ! -path './.git/*' ! -path './bin/*' ! -path './.cache/*' -exec sha256sum {} + | sort -k 2
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sums >"$work/before"
"${MAKE:-make}" generate
sums >"$work/after"
if ! diff "$work/before" "$work/after"; then
	echo "make: generated files were out of date; commit what make generate wrote" >&2
	exit 1
fi
