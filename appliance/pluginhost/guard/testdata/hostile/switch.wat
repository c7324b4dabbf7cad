;; A loop around a br_table, in the manner of an interpreter.
(module (memory (export "memory") 1)
 (func (export "run") (param i64) (result i32) (local $pc i32)
  (loop $l
   (block $c (block $b (block $a (br_table $a $b $c (local.get $pc)))
     (local.set $pc (i32.const 1)) (br $l))
    (local.set $pc (i32.const 2)) (br $l))
   (local.set $pc (i32.const 0)) (br $l))
  (i32.const 0)))
