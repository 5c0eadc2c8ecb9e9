// The distribution's RocksDB and zstd are not built for TSan, so their locks are invisible here and
// what they guard looks like races; so do the strings of a batch that RocksDB writes on another
// thread's behalf, for it uses this program's copy of std::string. All else is checked.
extern "C" const char* __tsan_default_suppressions() {
  return "called_from_lib:librocksdb.so\n"
         "race:librocksdb.so\n"
         "race:libzstd.so\n"
         "race:std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> "
         ">::_M_\n";
}
