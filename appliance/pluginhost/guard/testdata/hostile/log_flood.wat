;; Calls the host without end.
(module (import "vitrine" "log" (func $log (param i32 i32 i32))) (memory (export "memory") 1)
 (func (export "run") (param i64) (result i32) (loop $l (call $log (i32.const 0) (i32.const 0) (i32.const 65536)) (br $l)) (i32.const 0)))
