// Linked into every executable of the asan preset; AddressSanitizer asks for it by this name before main.
//
// The runtime of GCC 12 and 13 guesses from the address of a thread-local block that glibc before 2.25 made it, and then takes two words
// of the heap for its bounds (google/sanitizers#1322). Whether a block of a library opened at run time lies so depends on every
// allocation before it; LeakSanitizer then dies at exit with "Tracer caught signal 11". Without this interceptor it does not look at
// such blocks by name; it reaches them as it does other memory, through the thread that holds them.
extern "C" const char* __asan_default_options();  // no header of the compiler declares it for the program

extern "C" const char* __asan_default_options() { return "intercept_tls_get_addr=0"; }
