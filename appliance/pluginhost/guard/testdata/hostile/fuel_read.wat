;; Reads the global after its last: the fuel.
(module (memory (export "memory") 1) (global (mut i64) (i64.const 0))
 (func (export "run") (param i64) (result i32) (i32.wrap_i64 (global.get 1))))
