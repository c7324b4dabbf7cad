// Work that is not one flat loop: calls, sorting through a function pointer,
// a state machine, hashing, copying.
#include <stdint.h>
#define EXPORT(n) __attribute__((export_name(n)))
static uint32_t data[4096], copy[4096];
static __attribute__((noinline)) uint32_t fib(uint32_t n){ return n<2?n:fib(n-1)+fib(n-2); }
EXPORT("fib") uint32_t run_fib(uint32_t n){ return fib(n); }
static uint32_t next(uint32_t *s){ *s^=*s<<13; *s^=*s>>17; *s^=*s<<5; return *s; }
static int up(uint32_t a,uint32_t b){ return a<b; }
static int down(uint32_t a,uint32_t b){ return a>b; }
static void sort(uint32_t *a,int n,int (*less)(uint32_t,uint32_t)){
  while(n>1){ uint32_t p=a[n/2]; int i=0,j=n-1;
    while(i<=j){ while(less(a[i],p)) i++; while(less(p,a[j])) j--; if(i<=j){ uint32_t t=a[i];a[i]=a[j];a[j]=t;i++;j--; } }
    sort(a,j+1,less); a+=i; n-=i; } }
EXPORT("sort") uint32_t run_sort(uint32_t n){ uint32_t s=1234567u+n; n&=4095; for(uint32_t i=0;i<n;i++) data[i]=next(&s);
  sort(data,(int)n,n&1?up:down); return data[n/3]; }
EXPORT("machine") uint32_t run_machine(uint32_t n){ uint32_t s=99,acc=0,state=0; 
  for(uint32_t i=0;i<n;i++){ uint32_t x=next(&s);
    switch(state){ case 0: acc+=x; state=x&7; break; case 1: acc^=x; state=(x>>3)&7; break; case 2: acc=acc*31+x; state=x%5; break;
      case 3: if(x&16){acc+=3;state=1;}else{acc-=7;state=6;} break; case 4: acc=(acc<<3)|(acc>>29); state=0; break;
      case 5: acc+=x>>7; state=2; break; case 6: acc^=acc>>5; state=7; break; default: acc+=i; state=3; } }
  return acc; }
EXPORT("hash") uint32_t run_hash(uint32_t n){ uint64_t h=14695981039346656037ull; const uint8_t *p=(const uint8_t*)data; for(uint32_t i=0;i<n;i++){ h^=p[i&16383]; h*=1099511628211ull; } return (uint32_t)(h^(h>>32)); }
EXPORT("copy") uint32_t run_copy(uint32_t n){ for(uint32_t i=0;i<n;i++){ data[i&4095]=i; __builtin_memcpy(copy,data,sizeof copy); } return copy[7]; }
EXPORT("matrix") uint32_t run_matrix(uint32_t n){ static float a[64*64],b[64*64],c[64*64]; for(int i=0;i<4096;i++){a[i]=(float)i;b[i]=(float)(i%7);} uint32_t r=0;
  for(uint32_t t=0;t<n;t++){ for(int i=0;i<64;i++)for(int j=0;j<64;j++){ float s=0; for(int k=0;k<64;k++) s+=a[i*64+k]*b[k*64+j]; c[i*64+j]=s; } r+=(uint32_t)c[t&4095]; } return r; }
