# Python's own regression tests, each module a case. Random order and timing are off; what fails natively
# (there are a few such tests in any namespace) has to fail the same way.
# seconds: 900
# each: test_grammar test_builtin test_int test_long test_float test_complex test_math test_cmath test_unicode test_bytes test_re test_list test_dict test_set test_tuple test_sort test_struct test_array test_unicodedata test_codecs test_json test_pickle test_marshal test_hashlib test_zlib test_bz2 test_lzma test_decimal test_fractions test_statistics test_random test_datetime test_time test_itertools test_functools test_collections test_heapq test_bisect test_generators test_coroutines test_exceptions test_traceback test_sys test_gc test_weakref test_os test_io test_fileio test_file test_tempfile test_shutil test_pathlib test_glob test_subprocess test_signal test_threading test_thread test_queue test_select test_mmap test_fcntl test_socket test_ctypes test_csv test_string test_textwrap test_difflib test_argparse test_configparser test_ast test_compile test_tokenize test_import test_posix test_resource test_wait4 test_fork1 test_popen test_pty test_memoryview test_binascii test_base64 test_uuid test_enum test_dataclasses test_typing test_contextlib test_operator test_format test_strtod test_faulthandler
# each-full: test_asyncio test_multiprocessing_fork test_multiprocessing_spawn test_concurrent_futures test_tarfile test_zipfile test_gzip test_email test_xml_etree test_ssl test_http_cookiejar test_unittest test_regrtest test_mailbox test_codecencodings_jp test_largefile test_buffer test_pickletools test_inspect test_cmd_line test_script_helper test_selectors test_socketserver test_tracemalloc
source /programs/support/steps.bash
need python3
[ -e "/usr/lib/python3.11/test/$1.py" ] || [ -d "/usr/lib/python3.11/test/$1" ] || {
  echo "no $1 in the sysroot (package libpython3.11-testsuite)"
  exit 77
}
cd /tmp || exit
# One line for each test, with its result if that is not "ok", which other threads' messages may push to another
# line; failures have lines of their own. Not how long it took, where objects lie, or what was printed between.
python3 -m test -v --timeout 600 "$1" 2>&1 |
  sed -n -E '/ \.\.\. /{
      / \.\.\. (FAIL|ERROR|skipped.*|expected failure|unexpected success)$/!s/ \.\.\. .*/ .../
      s/0x[0-9a-f]{6,8}/ADDRESS/g
      p
    }
    /^(FAIL|ERROR|Ran [0-9]+ tests)/{
      s/ in [0-9.]+s//
      p
    }
    /^Result: /p'
echo "[${PIPESTATUS[0]}]"
