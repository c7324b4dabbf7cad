;; A tail call.
(module (memory (export "memory") 1)
 (func $f (export "run") (param i64) (result i32) (return_call $f (local.get 0))))
