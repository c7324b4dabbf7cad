#!/bin/sh
# Builds the binaries of this folder that are missing, where their compilers are
# installed. Delete a .wasm to have it built anew. They are committed, so that
# the tests need no compiler.
cd "$(dirname "$0")" || exit 1
have() { command -v "$1" >/dev/null 2>&1; }

for wat in hostile/*.wat; do
	wasm="${wat%.wat}.wasm"
	[ -f "$wasm" ] && continue
	have wat2wasm || { echo "wat2wasm (wabt) is not installed: $wasm is not built"; continue; }
	# Without checks: some are invalid on purpose.
	wat2wasm --enable-all --no-check "$wat" -o "$wasm" || exit 1
done

cd guests || exit 1
c() { # output, source, flags
	[ -f "$1" ] && return
	{ have clang && have wasm-ld; } || { echo "clang and wasm-ld are not installed: $1 is not built"; return; }
	out="$1" src="$2"; shift 2
	clang --target=wasm32 -O3 -nostdlib "$@" -c "$src" -o guest.o && wasm-ld --no-entry guest.o -o "$out"
	rm -f guest.o
}
rust() { # output, flags
	[ -f "$1" ] && return
	have rustc || { echo "rustc is not installed: $1 is not built"; return; }
	out="$1"; shift
	rustc --edition 2021 --target wasm32-unknown-unknown --crate-type cdylib -C opt-level=3 -C panic=abort \
		-C strip=symbols -C link-arg=-zstack-size=65536 "$@" score.rs -o "$out"
}
c score.c.wasm score.c
c score.csimd.wasm score.c -msimd128
c work.wasm work.c -mbulk-memory
rust score.rust.wasm
rust score.rustsimd.wasm -C target-feature=+simd128
[ -f score.as.wasm ] || echo "score.as.wasm: asc score.ts -O3 --noAssert --runtime stub --use abort= -o score.as.wasm"
exit 0
