# fault_net(<test>): its calls of the net can be made to fail; tests/lib/fault_net.c has the wrappers.
function(fault_net test)
    target_sources(${test} PRIVATE ${PROJECT_SOURCE_DIR}/tests/lib/fault.c ${PROJECT_SOURCE_DIR}/tests/lib/fault_net.c)
    target_link_libraries(${test} PRIVATE PkgConfig::libuv)
    foreach(call socket bind listen tr_net_accept setsockopt getsockname uv_poll_init uv_tcp_open uv_tcp_nodelay
            uv_tcp_keepalive uv_tcp_connect uv_getaddrinfo uv_write uv_try_write)
        target_link_options(${test} PRIVATE -Wl,--wrap=${call})
    endforeach()
endfunction()
