;; Recursion without end.
(module (memory (export "memory") 1)
 (func $f (export "run") (param i64) (result i32) (call $f (local.get 0))))
