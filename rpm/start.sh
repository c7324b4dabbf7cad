#!/bin/bash
# How long a start takes with a model of 200,000 items, until a list is
# answered from the model:
#
#	start.sh WORK BINARY
set -eu -o pipefail
work=$1 binary=$2 port=18473
die() {
	echo "test-rpm: $*" >&2
	exit 1
}
rm -rf "$work"
mkdir -p "$work"
vitrine() { "$binary" "$@" --data "$work/data" --set http.listen=127.0.0.1:$port --set http.admin_listen=127.0.0.1:0 --set train.schedule=off; }
live() { [ "$(curl -s -D - -o /dev/null "http://127.0.0.1:$port/recommend?user_id=u1" | grep -ci '^x-vitrine-source: live')" = 1 ]; }
serve() {
	"$binary" serve --data "$work/data" --set http.listen=127.0.0.1:$port --set http.admin_listen=127.0.0.1:0 --set train.schedule=off >"$work/out" 2>"$work/log" &
	daemon=$!
	until [ -s "$work/out" ]; do
		kill -0 $daemon 2>/dev/null || die "no start: $(tail -n 3 "$work/log")"
		sleep 0.02
	done
}
stop() {
	kill $daemon
	wait $daemon || die "no clean stop: $(tail -n 3 "$work/log")"
}

# Every item once, then more of popular ones.
awk 'BEGIN{srand(1); print "user_id,item_id,event_type,ts"
	for(n=0;n<300000;n++) printf "u%d,i%d,purchase,%d\n", rand()*5000, n<200000 ? n : 200000*rand()*rand(), 1760000000+n}' >"$work/events.csv"
serve
vitrine import "$work/events.csv" >"$work/said" 2>&1 || die "$(tail -n 3 "$work/said")"
stop
vitrine train --set train.iterations=2 >"$work/said" 2>&1 || die "$(tail -n 3 "$work/said")"
for try in 1 2 3; do
	began=$(date +%s.%N)
	serve
	for n in $(seq 1000); do ! live || break; sleep 0.02; done
	live || die "no answer from the model"
	took=$(awk -v a="$began" -v b="$(date +%s.%N)" 'BEGIN{printf "%.2f", b - a}')
	cpu=$(awk -v hz="$(getconf CLK_TCK)" '{printf "%.2f", ($14 + $15) / hz}' /proc/$daemon/stat)
	stop
	[ "$try" != 1 ] && awk -v a="$took" -v b="$best" 'BEGIN{exit !(a >= b)}' || { best=$took; used=$cpu; }
done
echo "  ok: start with 200,000 items and 300,000 events: live answer after $best s, $used s of processor time (bar 5 s; best of 3, load $(cut -d' ' -f1 /proc/loadavg))"
awk -v t="$best" 'BEGIN{exit !(t <= 5)}' || echo "  MISSED: more than 5 s"
rm -rf "$work"
