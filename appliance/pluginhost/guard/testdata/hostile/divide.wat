;; Nothing but divisions that wait for one another.
(module (memory (export "memory") 1)
 (func (export "run") (param i64) (result i32) (local $a i64)
  (loop $l
   (local.set $a (i64.div_u (i64.or (local.get $a) (i64.const 0x7fffffffffffff)) (i64.or (local.get 0) (i64.const 3))))
   (local.set $a (i64.div_u (i64.or (local.get $a) (i64.const 0x7fffffffffffff)) (i64.or (local.get 0) (i64.const 3))))
   (local.set $a (i64.div_u (i64.or (local.get $a) (i64.const 0x7fffffffffffff)) (i64.or (local.get 0) (i64.const 3))))
   (local.set $a (i64.div_u (i64.or (local.get $a) (i64.const 0x7fffffffffffff)) (i64.or (local.get 0) (i64.const 3))))
   (local.set $a (i64.div_u (i64.or (local.get $a) (i64.const 0x7fffffffffffff)) (i64.or (local.get 0) (i64.const 3))))
   (local.set $a (i64.div_u (i64.or (local.get $a) (i64.const 0x7fffffffffffff)) (i64.or (local.get 0) (i64.const 3))))
   (local.set $a (i64.div_u (i64.or (local.get $a) (i64.const 0x7fffffffffffff)) (i64.or (local.get 0) (i64.const 3))))
   (local.set $a (i64.div_u (i64.or (local.get $a) (i64.const 0x7fffffffffffff)) (i64.or (local.get 0) (i64.const 3))))
   (br $l))
  (i32.const 0)))
