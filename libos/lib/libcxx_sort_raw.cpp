// std::sort of arithmetic types, which libc++'s headers declare as `extern template` and its
// library defines (libcxx/src/algorithm.cpp of LLVM 19; the same definition here). The hosted
// builds use the library.
//
// Invariant of the raw part: [first, last) is the range that std::sort was given; libc++ does the
// rest.
#include <algorithm>
#include <functional>

_LIBCPP_BEGIN_NAMESPACE_STD

template <class Comp, class RandomAccessIterator>
void __sort(RandomAccessIterator first, RandomAccessIterator last, Comp) {
  const auto depth_limit = 2 * std::__log2i(last - first);
  std::__introsort<_ClassicAlgPolicy, ranges::less, RandomAccessIterator,
                   __use_branchless_sort<ranges::less, RandomAccessIterator>::value>(
      first, last, ranges::less{}, depth_limit);
}

template void __sort<__less<char>&, char*>(char*, char*, __less<char>&);
template void __sort<__less<signed char>&, signed char*>(signed char*, signed char*,
                                                         __less<signed char>&);
template void __sort<__less<unsigned char>&, unsigned char*>(unsigned char*, unsigned char*,
                                                             __less<unsigned char>&);
template void __sort<__less<short>&, short*>(short*, short*, __less<short>&);
template void __sort<__less<unsigned short>&, unsigned short*>(unsigned short*, unsigned short*,
                                                               __less<unsigned short>&);
template void __sort<__less<int>&, int*>(int*, int*, __less<int>&);
template void __sort<__less<unsigned>&, unsigned*>(unsigned*, unsigned*, __less<unsigned>&);
template void __sort<__less<long>&, long*>(long*, long*, __less<long>&);
template void __sort<__less<unsigned long>&, unsigned long*>(unsigned long*, unsigned long*,
                                                             __less<unsigned long>&);
template void __sort<__less<long long>&, long long*>(long long*, long long*, __less<long long>&);
template void __sort<__less<unsigned long long>&, unsigned long long*>(unsigned long long*,
                                                                       unsigned long long*,
                                                                       __less<unsigned long long>&);

_LIBCPP_END_NAMESPACE_STD
