;; Recursion without end through a table.
(module (memory (export "memory") 1) (type $t (func (param i64) (result i32))) (table 1 funcref) (elem (i32.const 0) $f)
 (func $f (export "run") (type $t) (call_indirect (type $t) (local.get 0) (i32.const 0))))
