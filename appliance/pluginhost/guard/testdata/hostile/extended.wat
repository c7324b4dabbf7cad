;; An extended constant.
(module (memory (export "memory") 1) (global i32 (i32.add (i32.const 1) (i32.const 2)))
 (func (export "run") (param i64) (result i32) (i32.const 0)))
