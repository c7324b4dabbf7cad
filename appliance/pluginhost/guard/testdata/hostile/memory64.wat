;; A memory with 64-bit addresses.
(module (memory i64 1)
 (func (export "run") (param i64) (result i32) (i32.const 0)))
