#![no_std]
#![no_main]
use core::slice;
#[panic_handler] fn panic(_:&core::panic::PanicInfo)->!{ core::arch::wasm32::unreachable() }
#[repr(C)] pub struct Batch{n:u32,f:u32,idx:u32,score:u32,cols:u32}
static mut W:[f32;64]=[0.0;64];
static mut TOP:usize=0;
extern "C" { static __heap_base:u8; }
#[no_mangle] pub unsafe extern "C" fn guest_alloc(sz:u32)->u32{
  if TOP==0 { TOP=&__heap_base as *const u8 as usize; }
  let p=(TOP+63)&!63; let end=p+sz as usize; let have=core::arch::wasm32::memory_size(0)*65536;
  if end>have { if core::arch::wasm32::memory_grow(0,(end-have+65535)/65536)==usize::MAX { return 0; } }
  TOP=end; p as u32 }
#[no_mangle] pub unsafe extern "C" fn guest_configure(_p:u32,_n:u32)->i32{ for i in 0..64{ W[i]=0.01*((i+1) as f32);} 0}
#[no_mangle] pub unsafe extern "C" fn guest_noop(p:u32)->i32{p as i32}
#[no_mangle] pub unsafe extern "C" fn guest_score(p:u32)->i32{
  let b=&*(p as *const Batch); let n=b.n as usize;
  let s=slice::from_raw_parts_mut(b.score as *mut f32,n);
  let idx=slice::from_raw_parts(b.idx as *const u32,n);
  let c=slice::from_raw_parts(b.cols as *const f32,n*b.f as usize);
  for k in 0..b.f as usize{ let wk=W[k&63]; let ck=&c[k*n..(k+1)*n]; for (si,x) in s.iter_mut().zip(ck){ *si+=wk*x; } }
  let c3=&c[3*n..4*n];
  for ((si,x),ix) in s.iter_mut().zip(c3).zip(idx){ *si*= if *x>0.5{1.2}else{1.0}; if ix%97==0 {*si+=0.1;} }
  0}
