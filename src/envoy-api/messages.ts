/**
 * Every message of Envoy's that weft knows by name, for what users write themselves (EnvoyFilter). It is large: envoy-api/index.ts loads it when
 * it is first needed. The list follows buf.gen.yaml.
 */
import { createRegistry, type Registry } from "@bufbuild/protobuf";
import { file_envoy_config_cluster_v3_circuit_breaker } from "../gen/envoy/config/cluster/v3/circuit_breaker_pb.ts";
import { file_envoy_config_cluster_v3_cluster } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { file_envoy_config_cluster_v3_filter } from "../gen/envoy/config/cluster/v3/filter_pb.ts";
import { file_envoy_config_cluster_v3_outlier_detection } from "../gen/envoy/config/cluster/v3/outlier_detection_pb.ts";
import { file_envoy_config_core_v3_address } from "../gen/envoy/config/core/v3/address_pb.ts";
import { file_envoy_config_core_v3_backoff } from "../gen/envoy/config/core/v3/backoff_pb.ts";
import { file_envoy_config_core_v3_base } from "../gen/envoy/config/core/v3/base_pb.ts";
import { file_envoy_config_core_v3_config_source } from "../gen/envoy/config/core/v3/config_source_pb.ts";
import { file_envoy_config_core_v3_event_service_config } from "../gen/envoy/config/core/v3/event_service_config_pb.ts";
import { file_envoy_config_core_v3_extension } from "../gen/envoy/config/core/v3/extension_pb.ts";
import { file_envoy_config_core_v3_grpc_method_list } from "../gen/envoy/config/core/v3/grpc_method_list_pb.ts";
import { file_envoy_config_core_v3_grpc_service } from "../gen/envoy/config/core/v3/grpc_service_pb.ts";
import { file_envoy_config_core_v3_health_check } from "../gen/envoy/config/core/v3/health_check_pb.ts";
import { file_envoy_config_core_v3_http_service } from "../gen/envoy/config/core/v3/http_service_pb.ts";
import { file_envoy_config_core_v3_http_uri } from "../gen/envoy/config/core/v3/http_uri_pb.ts";
import { file_envoy_config_core_v3_protocol } from "../gen/envoy/config/core/v3/protocol_pb.ts";
import { file_envoy_config_core_v3_proxy_protocol } from "../gen/envoy/config/core/v3/proxy_protocol_pb.ts";
import { file_envoy_config_core_v3_resolver } from "../gen/envoy/config/core/v3/resolver_pb.ts";
import { file_envoy_config_core_v3_socket_option } from "../gen/envoy/config/core/v3/socket_option_pb.ts";
import { file_envoy_config_core_v3_substitution_format_string } from "../gen/envoy/config/core/v3/substitution_format_string_pb.ts";
import { file_envoy_config_core_v3_udp_socket_config } from "../gen/envoy/config/core/v3/udp_socket_config_pb.ts";
import { file_envoy_config_endpoint_v3_endpoint_components } from "../gen/envoy/config/endpoint/v3/endpoint_components_pb.ts";
import { file_envoy_config_endpoint_v3_endpoint } from "../gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { file_envoy_config_endpoint_v3_load_report } from "../gen/envoy/config/endpoint/v3/load_report_pb.ts";
import { file_envoy_config_listener_v3_api_listener } from "../gen/envoy/config/listener/v3/api_listener_pb.ts";
import { file_envoy_config_listener_v3_listener_components } from "../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { file_envoy_config_listener_v3_listener } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import { file_envoy_config_listener_v3_quic_config } from "../gen/envoy/config/listener/v3/quic_config_pb.ts";
import { file_envoy_config_listener_v3_udp_listener_config } from "../gen/envoy/config/listener/v3/udp_listener_config_pb.ts";
import { file_envoy_config_rbac_v3_rbac } from "../gen/envoy/config/rbac/v3/rbac_pb.ts";
import { file_envoy_config_route_v3_route_components } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import { file_envoy_config_route_v3_route } from "../gen/envoy/config/route/v3/route_pb.ts";
import { file_envoy_config_route_v3_scoped_route } from "../gen/envoy/config/route/v3/scoped_route_pb.ts";
import { file_envoy_extensions_access_loggers_file_v3_file } from "../gen/envoy/extensions/access_loggers/file/v3/file_pb.ts";
import { file_envoy_extensions_access_loggers_filters_cel_v3_cel } from "../gen/envoy/extensions/access_loggers/filters/cel/v3/cel_pb.ts";
import { file_envoy_extensions_access_loggers_fluentd_v3_fluentd } from "../gen/envoy/extensions/access_loggers/fluentd/v3/fluentd_pb.ts";
import { file_envoy_extensions_access_loggers_grpc_v3_als } from "../gen/envoy/extensions/access_loggers/grpc/v3/als_pb.ts";
import { file_envoy_extensions_access_loggers_stats_v3_stats } from "../gen/envoy/extensions/access_loggers/stats/v3/stats_pb.ts";
import { file_envoy_extensions_access_loggers_stream_v3_stream } from "../gen/envoy/extensions/access_loggers/stream/v3/stream_pb.ts";
import { file_envoy_extensions_access_loggers_wasm_v3_wasm } from "../gen/envoy/extensions/access_loggers/wasm/v3/wasm_pb.ts";
import { file_envoy_extensions_clusters_aggregate_v3_cluster } from "../gen/envoy/extensions/clusters/aggregate/v3/cluster_pb.ts";
import { file_envoy_extensions_clusters_dynamic_forward_proxy_v3_cluster } from "../gen/envoy/extensions/clusters/dynamic_forward_proxy/v3/cluster_pb.ts";
import { file_envoy_extensions_clusters_redis_v3_redis_cluster } from "../gen/envoy/extensions/clusters/redis/v3/redis_cluster_pb.ts";
import { file_envoy_extensions_common_async_files_v3_async_file_manager } from "../gen/envoy/extensions/common/async_files/v3/async_file_manager_pb.ts";
import { file_envoy_extensions_common_dynamic_forward_proxy_v3_dns_cache } from "../gen/envoy/extensions/common/dynamic_forward_proxy/v3/dns_cache_pb.ts";
import { file_envoy_extensions_common_matching_v3_extension_matcher } from "../gen/envoy/extensions/common/matching/v3/extension_matcher_pb.ts";
import { file_envoy_extensions_common_ratelimit_v3_ratelimit } from "../gen/envoy/extensions/common/ratelimit/v3/ratelimit_pb.ts";
import { file_envoy_extensions_common_tap_v3_common } from "../gen/envoy/extensions/common/tap/v3/common_pb.ts";
import { file_envoy_extensions_compression_brotli_compressor_v3_brotli } from "../gen/envoy/extensions/compression/brotli/compressor/v3/brotli_pb.ts";
import { file_envoy_extensions_compression_brotli_decompressor_v3_brotli } from "../gen/envoy/extensions/compression/brotli/decompressor/v3/brotli_pb.ts";
import { file_envoy_extensions_compression_gzip_compressor_v3_gzip } from "../gen/envoy/extensions/compression/gzip/compressor/v3/gzip_pb.ts";
import { file_envoy_extensions_compression_gzip_decompressor_v3_gzip } from "../gen/envoy/extensions/compression/gzip/decompressor/v3/gzip_pb.ts";
import { file_envoy_extensions_compression_zstd_compressor_v3_zstd } from "../gen/envoy/extensions/compression/zstd/compressor/v3/zstd_pb.ts";
import { file_envoy_extensions_compression_zstd_decompressor_v3_zstd } from "../gen/envoy/extensions/compression/zstd/decompressor/v3/zstd_pb.ts";
import { file_envoy_extensions_filters_http_adaptive_concurrency_v3_adaptive_concurrency } from "../gen/envoy/extensions/filters/http/adaptive_concurrency/v3/adaptive_concurrency_pb.ts";
import { file_envoy_extensions_filters_http_admission_control_v3_admission_control } from "../gen/envoy/extensions/filters/http/admission_control/v3/admission_control_pb.ts";
import { file_envoy_extensions_filters_http_bandwidth_limit_v3_bandwidth_limit } from "../gen/envoy/extensions/filters/http/bandwidth_limit/v3/bandwidth_limit_pb.ts";
import { file_envoy_extensions_filters_http_basic_auth_v3_basic_auth } from "../gen/envoy/extensions/filters/http/basic_auth/v3/basic_auth_pb.ts";
import { file_envoy_extensions_filters_http_buffer_v3_buffer } from "../gen/envoy/extensions/filters/http/buffer/v3/buffer_pb.ts";
import { file_envoy_extensions_filters_http_composite_v3_composite } from "../gen/envoy/extensions/filters/http/composite/v3/composite_pb.ts";
import { file_envoy_extensions_filters_http_compressor_v3_compressor } from "../gen/envoy/extensions/filters/http/compressor/v3/compressor_pb.ts";
import { file_envoy_extensions_filters_http_connect_grpc_bridge_v3_config } from "../gen/envoy/extensions/filters/http/connect_grpc_bridge/v3/config_pb.ts";
import { file_envoy_extensions_filters_http_cors_v3_cors } from "../gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts";
import { file_envoy_extensions_filters_http_credential_injector_v3_credential_injector } from "../gen/envoy/extensions/filters/http/credential_injector/v3/credential_injector_pb.ts";
import { file_envoy_extensions_filters_http_csrf_v3_csrf } from "../gen/envoy/extensions/filters/http/csrf/v3/csrf_pb.ts";
import { file_envoy_extensions_filters_http_custom_response_v3_custom_response } from "../gen/envoy/extensions/filters/http/custom_response/v3/custom_response_pb.ts";
import { file_envoy_extensions_filters_http_decompressor_v3_decompressor } from "../gen/envoy/extensions/filters/http/decompressor/v3/decompressor_pb.ts";
import { file_envoy_extensions_filters_http_dynamic_forward_proxy_v3_dynamic_forward_proxy } from "../gen/envoy/extensions/filters/http/dynamic_forward_proxy/v3/dynamic_forward_proxy_pb.ts";
import { file_envoy_extensions_filters_http_ext_authz_v3_ext_authz } from "../gen/envoy/extensions/filters/http/ext_authz/v3/ext_authz_pb.ts";
import { file_envoy_extensions_filters_http_ext_proc_v3_ext_proc } from "../gen/envoy/extensions/filters/http/ext_proc/v3/ext_proc_pb.ts";
import { file_envoy_extensions_filters_http_ext_proc_v3_processing_mode } from "../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.ts";
import { file_envoy_extensions_filters_http_fault_v3_fault } from "../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts";
import { file_envoy_extensions_filters_http_geoip_v3_geoip } from "../gen/envoy/extensions/filters/http/geoip/v3/geoip_pb.ts";
import { file_envoy_extensions_filters_http_grpc_http1_bridge_v3_config } from "../gen/envoy/extensions/filters/http/grpc_http1_bridge/v3/config_pb.ts";
import { file_envoy_extensions_filters_http_grpc_json_transcoder_v3_transcoder } from "../gen/envoy/extensions/filters/http/grpc_json_transcoder/v3/transcoder_pb.ts";
import { file_envoy_extensions_filters_http_grpc_stats_v3_config } from "../gen/envoy/extensions/filters/http/grpc_stats/v3/config_pb.ts";
import { file_envoy_extensions_filters_http_grpc_web_v3_grpc_web } from "../gen/envoy/extensions/filters/http/grpc_web/v3/grpc_web_pb.ts";
import { file_envoy_extensions_filters_http_header_mutation_v3_header_mutation } from "../gen/envoy/extensions/filters/http/header_mutation/v3/header_mutation_pb.ts";
import { file_envoy_extensions_filters_http_header_to_metadata_v3_header_to_metadata } from "../gen/envoy/extensions/filters/http/header_to_metadata/v3/header_to_metadata_pb.ts";
import { file_envoy_extensions_filters_http_health_check_v3_health_check } from "../gen/envoy/extensions/filters/http/health_check/v3/health_check_pb.ts";
import { file_envoy_extensions_filters_http_ip_tagging_v3_ip_tagging } from "../gen/envoy/extensions/filters/http/ip_tagging/v3/ip_tagging_pb.ts";
import { file_envoy_extensions_filters_http_json_to_metadata_v3_json_to_metadata } from "../gen/envoy/extensions/filters/http/json_to_metadata/v3/json_to_metadata_pb.ts";
import { file_envoy_extensions_filters_http_jwt_authn_v3_config } from "../gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.ts";
import { file_envoy_extensions_filters_http_local_ratelimit_v3_local_rate_limit } from "../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts";
import { file_envoy_extensions_filters_http_lua_v3_lua } from "../gen/envoy/extensions/filters/http/lua/v3/lua_pb.ts";
import { file_envoy_extensions_filters_http_oauth2_v3_oauth } from "../gen/envoy/extensions/filters/http/oauth2/v3/oauth_pb.ts";
import { file_envoy_extensions_filters_http_on_demand_v3_on_demand } from "../gen/envoy/extensions/filters/http/on_demand/v3/on_demand_pb.ts";
import { file_envoy_extensions_filters_http_original_src_v3_original_src } from "../gen/envoy/extensions/filters/http/original_src/v3/original_src_pb.ts";
import { file_envoy_extensions_filters_http_ratelimit_v3_rate_limit } from "../gen/envoy/extensions/filters/http/ratelimit/v3/rate_limit_pb.ts";
import { file_envoy_extensions_filters_http_rbac_v3_rbac } from "../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import { file_envoy_extensions_filters_http_router_v3_router } from "../gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import { file_envoy_extensions_filters_http_set_filter_state_v3_set_filter_state } from "../gen/envoy/extensions/filters/http/set_filter_state/v3/set_filter_state_pb.ts";
import { file_envoy_extensions_filters_http_set_metadata_v3_set_metadata } from "../gen/envoy/extensions/filters/http/set_metadata/v3/set_metadata_pb.ts";
import { file_envoy_extensions_filters_http_stateful_session_v3_stateful_session } from "../gen/envoy/extensions/filters/http/stateful_session/v3/stateful_session_pb.ts";
import { file_envoy_extensions_filters_http_tap_v3_tap } from "../gen/envoy/extensions/filters/http/tap/v3/tap_pb.ts";
import { file_envoy_extensions_filters_http_wasm_v3_wasm } from "../gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts";
import { file_envoy_extensions_filters_listener_http_inspector_v3_http_inspector } from "../gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.ts";
import { file_envoy_extensions_filters_listener_local_ratelimit_v3_local_ratelimit } from "../gen/envoy/extensions/filters/listener/local_ratelimit/v3/local_ratelimit_pb.ts";
import { file_envoy_extensions_filters_listener_original_dst_v3_original_dst } from "../gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.ts";
import { file_envoy_extensions_filters_listener_original_src_v3_original_src } from "../gen/envoy/extensions/filters/listener/original_src/v3/original_src_pb.ts";
import { file_envoy_extensions_filters_listener_proxy_protocol_v3_proxy_protocol } from "../gen/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.ts";
import { file_envoy_extensions_filters_listener_tls_inspector_v3_tls_inspector } from "../gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts";
import { file_envoy_extensions_filters_network_connection_limit_v3_connection_limit } from "../gen/envoy/extensions/filters/network/connection_limit/v3/connection_limit_pb.ts";
import { file_envoy_extensions_filters_network_direct_response_v3_config } from "../gen/envoy/extensions/filters/network/direct_response/v3/config_pb.ts";
import { file_envoy_extensions_filters_network_echo_v3_echo } from "../gen/envoy/extensions/filters/network/echo/v3/echo_pb.ts";
import { file_envoy_extensions_filters_network_ext_authz_v3_ext_authz } from "../gen/envoy/extensions/filters/network/ext_authz/v3/ext_authz_pb.ts";
import { file_envoy_extensions_filters_network_http_connection_manager_v3_http_connection_manager } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { file_envoy_extensions_filters_network_local_ratelimit_v3_local_rate_limit } from "../gen/envoy/extensions/filters/network/local_ratelimit/v3/local_rate_limit_pb.ts";
import { file_envoy_extensions_filters_network_mongo_proxy_v3_mongo_proxy } from "../gen/envoy/extensions/filters/network/mongo_proxy/v3/mongo_proxy_pb.ts";
import { file_envoy_extensions_filters_network_ratelimit_v3_rate_limit } from "../gen/envoy/extensions/filters/network/ratelimit/v3/rate_limit_pb.ts";
import { file_envoy_extensions_filters_network_rbac_v3_rbac } from "../gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts";
import { file_envoy_extensions_filters_network_redis_proxy_v3_redis_proxy } from "../gen/envoy/extensions/filters/network/redis_proxy/v3/redis_proxy_pb.ts";
import { file_envoy_extensions_filters_network_set_filter_state_v3_set_filter_state } from "../gen/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state_pb.ts";
import { file_envoy_extensions_filters_network_sni_cluster_v3_sni_cluster } from "../gen/envoy/extensions/filters/network/sni_cluster/v3/sni_cluster_pb.ts";
import { file_envoy_extensions_filters_network_sni_dynamic_forward_proxy_v3_sni_dynamic_forward_proxy } from "../gen/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3/sni_dynamic_forward_proxy_pb.ts";
import { file_envoy_extensions_filters_network_tcp_proxy_v3_tcp_proxy } from "../gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts";
import { file_envoy_extensions_filters_network_wasm_v3_wasm } from "../gen/envoy/extensions/filters/network/wasm/v3/wasm_pb.ts";
import { file_envoy_extensions_filters_network_zookeeper_proxy_v3_zookeeper_proxy } from "../gen/envoy/extensions/filters/network/zookeeper_proxy/v3/zookeeper_proxy_pb.ts";
import { file_envoy_extensions_formatter_cel_v3_cel } from "../gen/envoy/extensions/formatter/cel/v3/cel_pb.ts";
import { file_envoy_extensions_formatter_metadata_v3_metadata } from "../gen/envoy/extensions/formatter/metadata/v3/metadata_pb.ts";
import { file_envoy_extensions_formatter_req_without_query_v3_req_without_query } from "../gen/envoy/extensions/formatter/req_without_query/v3/req_without_query_pb.ts";
import { file_envoy_extensions_health_checkers_redis_v3_redis } from "../gen/envoy/extensions/health_checkers/redis/v3/redis_pb.ts";
import { file_envoy_extensions_health_checkers_thrift_v3_thrift } from "../gen/envoy/extensions/health_checkers/thrift/v3/thrift_pb.ts";
import { file_envoy_extensions_http_cache_file_system_http_cache_v3_file_system_http_cache } from "../gen/envoy/extensions/http/cache/file_system_http_cache/v3/file_system_http_cache_pb.ts";
import { file_envoy_extensions_http_cache_simple_http_cache_v3_config } from "../gen/envoy/extensions/http/cache/simple_http_cache/v3/config_pb.ts";
import { file_envoy_extensions_http_custom_response_local_response_policy_v3_local_response_policy } from "../gen/envoy/extensions/http/custom_response/local_response_policy/v3/local_response_policy_pb.ts";
import { file_envoy_extensions_http_custom_response_redirect_policy_v3_redirect_policy } from "../gen/envoy/extensions/http/custom_response/redirect_policy/v3/redirect_policy_pb.ts";
import { file_envoy_extensions_http_early_header_mutation_header_mutation_v3_header_mutation } from "../gen/envoy/extensions/http/early_header_mutation/header_mutation/v3/header_mutation_pb.ts";
import { file_envoy_extensions_http_header_formatters_preserve_case_v3_preserve_case } from "../gen/envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case_pb.ts";
import { file_envoy_extensions_http_header_validators_envoy_default_v3_header_validator } from "../gen/envoy/extensions/http/header_validators/envoy_default/v3/header_validator_pb.ts";
import { file_envoy_extensions_http_injected_credentials_generic_v3_generic } from "../gen/envoy/extensions/http/injected_credentials/generic/v3/generic_pb.ts";
import { file_envoy_extensions_http_injected_credentials_oauth2_v3_oauth2 } from "../gen/envoy/extensions/http/injected_credentials/oauth2/v3/oauth2_pb.ts";
import { file_envoy_extensions_http_original_ip_detection_custom_header_v3_custom_header } from "../gen/envoy/extensions/http/original_ip_detection/custom_header/v3/custom_header_pb.ts";
import { file_envoy_extensions_http_original_ip_detection_xff_v3_xff } from "../gen/envoy/extensions/http/original_ip_detection/xff/v3/xff_pb.ts";
import { file_envoy_extensions_http_stateful_session_cookie_v3_cookie } from "../gen/envoy/extensions/http/stateful_session/cookie/v3/cookie_pb.ts";
import { file_envoy_extensions_http_stateful_session_header_v3_header } from "../gen/envoy/extensions/http/stateful_session/header/v3/header_pb.ts";
import { file_envoy_extensions_internal_redirect_allow_listed_routes_v3_allow_listed_routes_config } from "../gen/envoy/extensions/internal_redirect/allow_listed_routes/v3/allow_listed_routes_config_pb.ts";
import { file_envoy_extensions_internal_redirect_previous_routes_v3_previous_routes_config } from "../gen/envoy/extensions/internal_redirect/previous_routes/v3/previous_routes_config_pb.ts";
import { file_envoy_extensions_internal_redirect_safe_cross_scheme_v3_safe_cross_scheme_config } from "../gen/envoy/extensions/internal_redirect/safe_cross_scheme/v3/safe_cross_scheme_config_pb.ts";
import { file_envoy_extensions_load_balancing_policies_client_side_weighted_round_robin_v3_client_side_weighted_round_robin } from "../gen/envoy/extensions/load_balancing_policies/client_side_weighted_round_robin/v3/client_side_weighted_round_robin_pb.ts";
import { file_envoy_extensions_load_balancing_policies_cluster_provided_v3_cluster_provided } from "../gen/envoy/extensions/load_balancing_policies/cluster_provided/v3/cluster_provided_pb.ts";
import { file_envoy_extensions_load_balancing_policies_common_v3_common } from "../gen/envoy/extensions/load_balancing_policies/common/v3/common_pb.ts";
import { file_envoy_extensions_load_balancing_policies_least_request_v3_least_request } from "../gen/envoy/extensions/load_balancing_policies/least_request/v3/least_request_pb.ts";
import { file_envoy_extensions_load_balancing_policies_maglev_v3_maglev } from "../gen/envoy/extensions/load_balancing_policies/maglev/v3/maglev_pb.ts";
import { file_envoy_extensions_load_balancing_policies_pick_first_v3_pick_first } from "../gen/envoy/extensions/load_balancing_policies/pick_first/v3/pick_first_pb.ts";
import { file_envoy_extensions_load_balancing_policies_random_v3_random } from "../gen/envoy/extensions/load_balancing_policies/random/v3/random_pb.ts";
import { file_envoy_extensions_load_balancing_policies_ring_hash_v3_ring_hash } from "../gen/envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash_pb.ts";
import { file_envoy_extensions_load_balancing_policies_round_robin_v3_round_robin } from "../gen/envoy/extensions/load_balancing_policies/round_robin/v3/round_robin_pb.ts";
import { file_envoy_extensions_load_balancing_policies_subset_v3_subset } from "../gen/envoy/extensions/load_balancing_policies/subset/v3/subset_pb.ts";
import { file_envoy_extensions_load_balancing_policies_wrr_locality_v3_wrr_locality } from "../gen/envoy/extensions/load_balancing_policies/wrr_locality/v3/wrr_locality_pb.ts";
import { file_envoy_extensions_matching_common_inputs_environment_variable_v3_input } from "../gen/envoy/extensions/matching/common_inputs/environment_variable/v3/input_pb.ts";
import { file_envoy_extensions_matching_common_inputs_network_v3_network_inputs } from "../gen/envoy/extensions/matching/common_inputs/network/v3/network_inputs_pb.ts";
import { file_envoy_extensions_matching_common_inputs_ssl_v3_ssl_inputs } from "../gen/envoy/extensions/matching/common_inputs/ssl/v3/ssl_inputs_pb.ts";
import { file_envoy_extensions_matching_input_matchers_consistent_hashing_v3_consistent_hashing } from "../gen/envoy/extensions/matching/input_matchers/consistent_hashing/v3/consistent_hashing_pb.ts";
import { file_envoy_extensions_matching_input_matchers_ip_v3_ip } from "../gen/envoy/extensions/matching/input_matchers/ip/v3/ip_pb.ts";
import { file_envoy_extensions_matching_input_matchers_runtime_fraction_v3_runtime_fraction } from "../gen/envoy/extensions/matching/input_matchers/runtime_fraction/v3/runtime_fraction_pb.ts";
import { file_envoy_extensions_path_match_uri_template_v3_uri_template_match } from "../gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.ts";
import { file_envoy_extensions_path_rewrite_uri_template_v3_uri_template_rewrite } from "../gen/envoy/extensions/path/rewrite/uri_template/v3/uri_template_rewrite_pb.ts";
import { file_envoy_extensions_rate_limit_descriptors_expr_v3_expr } from "../gen/envoy/extensions/rate_limit_descriptors/expr/v3/expr_pb.ts";
import { file_envoy_extensions_request_id_uuid_v3_uuid } from "../gen/envoy/extensions/request_id/uuid/v3/uuid_pb.ts";
import { file_envoy_extensions_retry_host_omit_canary_hosts_v3_omit_canary_hosts } from "../gen/envoy/extensions/retry/host/omit_canary_hosts/v3/omit_canary_hosts_pb.ts";
import { file_envoy_extensions_retry_host_omit_host_metadata_v3_omit_host_metadata_config } from "../gen/envoy/extensions/retry/host/omit_host_metadata/v3/omit_host_metadata_config_pb.ts";
import { file_envoy_extensions_retry_host_previous_hosts_v3_previous_hosts } from "../gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.ts";
import { file_envoy_extensions_retry_priority_previous_priorities_v3_previous_priorities_config } from "../gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.ts";
import { file_envoy_extensions_string_matcher_lua_v3_lua } from "../gen/envoy/extensions/string_matcher/lua/v3/lua_pb.ts";
import { file_envoy_extensions_tracers_opentelemetry_resource_detectors_v3_dynatrace_resource_detector } from "../gen/envoy/extensions/tracers/opentelemetry/resource_detectors/v3/dynatrace_resource_detector_pb.ts";
import { file_envoy_extensions_tracers_opentelemetry_resource_detectors_v3_environment_resource_detector } from "../gen/envoy/extensions/tracers/opentelemetry/resource_detectors/v3/environment_resource_detector_pb.ts";
import { file_envoy_extensions_tracers_opentelemetry_resource_detectors_v3_static_config_resource_detector } from "../gen/envoy/extensions/tracers/opentelemetry/resource_detectors/v3/static_config_resource_detector_pb.ts";
import { file_envoy_extensions_tracers_opentelemetry_samplers_v3_always_on_sampler } from "../gen/envoy/extensions/tracers/opentelemetry/samplers/v3/always_on_sampler_pb.ts";
import { file_envoy_extensions_tracers_opentelemetry_samplers_v3_dynatrace_sampler } from "../gen/envoy/extensions/tracers/opentelemetry/samplers/v3/dynatrace_sampler_pb.ts";
import { file_envoy_extensions_transport_sockets_alts_v3_alts } from "../gen/envoy/extensions/transport_sockets/alts/v3/alts_pb.ts";
import { file_envoy_extensions_transport_sockets_http_11_proxy_v3_upstream_http_11_connect } from "../gen/envoy/extensions/transport_sockets/http_11_proxy/v3/upstream_http_11_connect_pb.ts";
import { file_envoy_extensions_transport_sockets_internal_upstream_v3_internal_upstream } from "../gen/envoy/extensions/transport_sockets/internal_upstream/v3/internal_upstream_pb.ts";
import { file_envoy_extensions_transport_sockets_proxy_protocol_v3_upstream_proxy_protocol } from "../gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.ts";
import { file_envoy_extensions_transport_sockets_quic_v3_quic_transport } from "../gen/envoy/extensions/transport_sockets/quic/v3/quic_transport_pb.ts";
import { file_envoy_extensions_transport_sockets_raw_buffer_v3_raw_buffer } from "../gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.ts";
import { file_envoy_extensions_transport_sockets_s2a_v3_s2a } from "../gen/envoy/extensions/transport_sockets/s2a/v3/s2a_pb.ts";
import { file_envoy_extensions_transport_sockets_starttls_v3_starttls } from "../gen/envoy/extensions/transport_sockets/starttls/v3/starttls_pb.ts";
import { file_envoy_extensions_transport_sockets_tap_v3_tap } from "../gen/envoy/extensions/transport_sockets/tap/v3/tap_pb.ts";
import { file_envoy_extensions_transport_sockets_tcp_stats_v3_tcp_stats } from "../gen/envoy/extensions/transport_sockets/tcp_stats/v3/tcp_stats_pb.ts";
import { file_envoy_extensions_transport_sockets_tls_v3_cert } from "../gen/envoy/extensions/transport_sockets/tls/v3/cert_pb.ts";
import { file_envoy_extensions_transport_sockets_tls_v3_common } from "../gen/envoy/extensions/transport_sockets/tls/v3/common_pb.ts";
import { file_envoy_extensions_transport_sockets_tls_v3_secret } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { file_envoy_extensions_transport_sockets_tls_v3_tls } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import { file_envoy_extensions_transport_sockets_tls_v3_tls_spiffe_validator_config } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config_pb.ts";
import { file_envoy_extensions_upstreams_http_generic_v3_generic_connection_pool } from "../gen/envoy/extensions/upstreams/http/generic/v3/generic_connection_pool_pb.ts";
import { file_envoy_extensions_upstreams_http_http_v3_http_connection_pool } from "../gen/envoy/extensions/upstreams/http/http/v3/http_connection_pool_pb.ts";
import { file_envoy_extensions_upstreams_http_tcp_v3_tcp_connection_pool } from "../gen/envoy/extensions/upstreams/http/tcp/v3/tcp_connection_pool_pb.ts";
import { file_envoy_extensions_upstreams_http_udp_v3_udp_connection_pool } from "../gen/envoy/extensions/upstreams/http/udp/v3/udp_connection_pool_pb.ts";
import { file_envoy_extensions_upstreams_http_v3_http_protocol_options } from "../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts";
import { file_envoy_extensions_upstreams_tcp_generic_v3_generic_connection_pool } from "../gen/envoy/extensions/upstreams/tcp/generic/v3/generic_connection_pool_pb.ts";
import { file_envoy_extensions_upstreams_tcp_v3_tcp_protocol_options } from "../gen/envoy/extensions/upstreams/tcp/v3/tcp_protocol_options_pb.ts";
import { file_envoy_extensions_wasm_v3_wasm } from "../gen/envoy/extensions/wasm/v3/wasm_pb.ts";
import { file_udpa_type_v1_typed_struct } from "../gen/udpa/type/v1/typed_struct_pb.ts";
import { file_xds_type_v3_cel } from "../gen/xds/type/v3/cel_pb.ts";
import { file_xds_type_v3_range } from "../gen/xds/type/v3/range_pb.ts";
import { file_xds_type_v3_typed_struct } from "../gen/xds/type/v3/typed_struct_pb.ts";

/** @public For the require() in index.ts, which tools do not follow. */
export const MESSAGES: Registry = createRegistry(
  file_envoy_config_cluster_v3_circuit_breaker,
  file_envoy_config_cluster_v3_cluster,
  file_envoy_config_cluster_v3_filter,
  file_envoy_config_cluster_v3_outlier_detection,
  file_envoy_config_core_v3_address,
  file_envoy_config_core_v3_backoff,
  file_envoy_config_core_v3_base,
  file_envoy_config_core_v3_config_source,
  file_envoy_config_core_v3_event_service_config,
  file_envoy_config_core_v3_extension,
  file_envoy_config_core_v3_grpc_method_list,
  file_envoy_config_core_v3_grpc_service,
  file_envoy_config_core_v3_health_check,
  file_envoy_config_core_v3_http_service,
  file_envoy_config_core_v3_http_uri,
  file_envoy_config_core_v3_protocol,
  file_envoy_config_core_v3_proxy_protocol,
  file_envoy_config_core_v3_resolver,
  file_envoy_config_core_v3_socket_option,
  file_envoy_config_core_v3_substitution_format_string,
  file_envoy_config_core_v3_udp_socket_config,
  file_envoy_config_endpoint_v3_endpoint,
  file_envoy_config_endpoint_v3_endpoint_components,
  file_envoy_config_endpoint_v3_load_report,
  file_envoy_config_listener_v3_api_listener,
  file_envoy_config_listener_v3_listener,
  file_envoy_config_listener_v3_listener_components,
  file_envoy_config_listener_v3_quic_config,
  file_envoy_config_listener_v3_udp_listener_config,
  file_envoy_config_rbac_v3_rbac,
  file_envoy_config_route_v3_route,
  file_envoy_config_route_v3_route_components,
  file_envoy_config_route_v3_scoped_route,
  file_envoy_extensions_access_loggers_file_v3_file,
  file_envoy_extensions_access_loggers_filters_cel_v3_cel,
  file_envoy_extensions_access_loggers_fluentd_v3_fluentd,
  file_envoy_extensions_access_loggers_grpc_v3_als,
  file_envoy_extensions_access_loggers_stats_v3_stats,
  file_envoy_extensions_access_loggers_stream_v3_stream,
  file_envoy_extensions_access_loggers_wasm_v3_wasm,
  file_envoy_extensions_clusters_aggregate_v3_cluster,
  file_envoy_extensions_clusters_dynamic_forward_proxy_v3_cluster,
  file_envoy_extensions_clusters_redis_v3_redis_cluster,
  file_envoy_extensions_common_async_files_v3_async_file_manager,
  file_envoy_extensions_common_dynamic_forward_proxy_v3_dns_cache,
  file_envoy_extensions_common_matching_v3_extension_matcher,
  file_envoy_extensions_common_ratelimit_v3_ratelimit,
  file_envoy_extensions_common_tap_v3_common,
  file_envoy_extensions_compression_brotli_compressor_v3_brotli,
  file_envoy_extensions_compression_brotli_decompressor_v3_brotli,
  file_envoy_extensions_compression_gzip_compressor_v3_gzip,
  file_envoy_extensions_compression_gzip_decompressor_v3_gzip,
  file_envoy_extensions_compression_zstd_compressor_v3_zstd,
  file_envoy_extensions_compression_zstd_decompressor_v3_zstd,
  file_envoy_extensions_filters_http_adaptive_concurrency_v3_adaptive_concurrency,
  file_envoy_extensions_filters_http_admission_control_v3_admission_control,
  file_envoy_extensions_filters_http_bandwidth_limit_v3_bandwidth_limit,
  file_envoy_extensions_filters_http_basic_auth_v3_basic_auth,
  file_envoy_extensions_filters_http_buffer_v3_buffer,
  file_envoy_extensions_filters_http_composite_v3_composite,
  file_envoy_extensions_filters_http_compressor_v3_compressor,
  file_envoy_extensions_filters_http_connect_grpc_bridge_v3_config,
  file_envoy_extensions_filters_http_cors_v3_cors,
  file_envoy_extensions_filters_http_credential_injector_v3_credential_injector,
  file_envoy_extensions_filters_http_csrf_v3_csrf,
  file_envoy_extensions_filters_http_custom_response_v3_custom_response,
  file_envoy_extensions_filters_http_decompressor_v3_decompressor,
  file_envoy_extensions_filters_http_dynamic_forward_proxy_v3_dynamic_forward_proxy,
  file_envoy_extensions_filters_http_ext_authz_v3_ext_authz,
  file_envoy_extensions_filters_http_ext_proc_v3_ext_proc,
  file_envoy_extensions_filters_http_ext_proc_v3_processing_mode,
  file_envoy_extensions_filters_http_fault_v3_fault,
  file_envoy_extensions_filters_http_geoip_v3_geoip,
  file_envoy_extensions_filters_http_grpc_http1_bridge_v3_config,
  file_envoy_extensions_filters_http_grpc_json_transcoder_v3_transcoder,
  file_envoy_extensions_filters_http_grpc_stats_v3_config,
  file_envoy_extensions_filters_http_grpc_web_v3_grpc_web,
  file_envoy_extensions_filters_http_header_mutation_v3_header_mutation,
  file_envoy_extensions_filters_http_header_to_metadata_v3_header_to_metadata,
  file_envoy_extensions_filters_http_health_check_v3_health_check,
  file_envoy_extensions_filters_http_ip_tagging_v3_ip_tagging,
  file_envoy_extensions_filters_http_json_to_metadata_v3_json_to_metadata,
  file_envoy_extensions_filters_http_jwt_authn_v3_config,
  file_envoy_extensions_filters_http_local_ratelimit_v3_local_rate_limit,
  file_envoy_extensions_filters_http_lua_v3_lua,
  file_envoy_extensions_filters_http_oauth2_v3_oauth,
  file_envoy_extensions_filters_http_on_demand_v3_on_demand,
  file_envoy_extensions_filters_http_original_src_v3_original_src,
  file_envoy_extensions_filters_http_ratelimit_v3_rate_limit,
  file_envoy_extensions_filters_http_rbac_v3_rbac,
  file_envoy_extensions_filters_http_router_v3_router,
  file_envoy_extensions_filters_http_set_filter_state_v3_set_filter_state,
  file_envoy_extensions_filters_http_set_metadata_v3_set_metadata,
  file_envoy_extensions_filters_http_stateful_session_v3_stateful_session,
  file_envoy_extensions_filters_http_tap_v3_tap,
  file_envoy_extensions_filters_http_wasm_v3_wasm,
  file_envoy_extensions_filters_listener_http_inspector_v3_http_inspector,
  file_envoy_extensions_filters_listener_local_ratelimit_v3_local_ratelimit,
  file_envoy_extensions_filters_listener_original_dst_v3_original_dst,
  file_envoy_extensions_filters_listener_original_src_v3_original_src,
  file_envoy_extensions_filters_listener_proxy_protocol_v3_proxy_protocol,
  file_envoy_extensions_filters_listener_tls_inspector_v3_tls_inspector,
  file_envoy_extensions_filters_network_connection_limit_v3_connection_limit,
  file_envoy_extensions_filters_network_direct_response_v3_config,
  file_envoy_extensions_filters_network_echo_v3_echo,
  file_envoy_extensions_filters_network_ext_authz_v3_ext_authz,
  file_envoy_extensions_filters_network_http_connection_manager_v3_http_connection_manager,
  file_envoy_extensions_filters_network_local_ratelimit_v3_local_rate_limit,
  file_envoy_extensions_filters_network_mongo_proxy_v3_mongo_proxy,
  file_envoy_extensions_filters_network_ratelimit_v3_rate_limit,
  file_envoy_extensions_filters_network_rbac_v3_rbac,
  file_envoy_extensions_filters_network_redis_proxy_v3_redis_proxy,
  file_envoy_extensions_filters_network_set_filter_state_v3_set_filter_state,
  file_envoy_extensions_filters_network_sni_cluster_v3_sni_cluster,
  file_envoy_extensions_filters_network_sni_dynamic_forward_proxy_v3_sni_dynamic_forward_proxy,
  file_envoy_extensions_filters_network_tcp_proxy_v3_tcp_proxy,
  file_envoy_extensions_filters_network_wasm_v3_wasm,
  file_envoy_extensions_filters_network_zookeeper_proxy_v3_zookeeper_proxy,
  file_envoy_extensions_formatter_cel_v3_cel,
  file_envoy_extensions_formatter_metadata_v3_metadata,
  file_envoy_extensions_formatter_req_without_query_v3_req_without_query,
  file_envoy_extensions_health_checkers_redis_v3_redis,
  file_envoy_extensions_health_checkers_thrift_v3_thrift,
  file_envoy_extensions_http_cache_file_system_http_cache_v3_file_system_http_cache,
  file_envoy_extensions_http_cache_simple_http_cache_v3_config,
  file_envoy_extensions_http_custom_response_local_response_policy_v3_local_response_policy,
  file_envoy_extensions_http_custom_response_redirect_policy_v3_redirect_policy,
  file_envoy_extensions_http_early_header_mutation_header_mutation_v3_header_mutation,
  file_envoy_extensions_http_header_formatters_preserve_case_v3_preserve_case,
  file_envoy_extensions_http_header_validators_envoy_default_v3_header_validator,
  file_envoy_extensions_http_injected_credentials_generic_v3_generic,
  file_envoy_extensions_http_injected_credentials_oauth2_v3_oauth2,
  file_envoy_extensions_http_original_ip_detection_custom_header_v3_custom_header,
  file_envoy_extensions_http_original_ip_detection_xff_v3_xff,
  file_envoy_extensions_http_stateful_session_cookie_v3_cookie,
  file_envoy_extensions_http_stateful_session_header_v3_header,
  file_envoy_extensions_internal_redirect_allow_listed_routes_v3_allow_listed_routes_config,
  file_envoy_extensions_internal_redirect_previous_routes_v3_previous_routes_config,
  file_envoy_extensions_internal_redirect_safe_cross_scheme_v3_safe_cross_scheme_config,
  file_envoy_extensions_load_balancing_policies_client_side_weighted_round_robin_v3_client_side_weighted_round_robin,
  file_envoy_extensions_load_balancing_policies_cluster_provided_v3_cluster_provided,
  file_envoy_extensions_load_balancing_policies_common_v3_common,
  file_envoy_extensions_load_balancing_policies_least_request_v3_least_request,
  file_envoy_extensions_load_balancing_policies_maglev_v3_maglev,
  file_envoy_extensions_load_balancing_policies_pick_first_v3_pick_first,
  file_envoy_extensions_load_balancing_policies_random_v3_random,
  file_envoy_extensions_load_balancing_policies_ring_hash_v3_ring_hash,
  file_envoy_extensions_load_balancing_policies_round_robin_v3_round_robin,
  file_envoy_extensions_load_balancing_policies_subset_v3_subset,
  file_envoy_extensions_load_balancing_policies_wrr_locality_v3_wrr_locality,
  file_envoy_extensions_matching_common_inputs_environment_variable_v3_input,
  file_envoy_extensions_matching_common_inputs_network_v3_network_inputs,
  file_envoy_extensions_matching_common_inputs_ssl_v3_ssl_inputs,
  file_envoy_extensions_matching_input_matchers_consistent_hashing_v3_consistent_hashing,
  file_envoy_extensions_matching_input_matchers_ip_v3_ip,
  file_envoy_extensions_matching_input_matchers_runtime_fraction_v3_runtime_fraction,
  file_envoy_extensions_path_match_uri_template_v3_uri_template_match,
  file_envoy_extensions_path_rewrite_uri_template_v3_uri_template_rewrite,
  file_envoy_extensions_rate_limit_descriptors_expr_v3_expr,
  file_envoy_extensions_request_id_uuid_v3_uuid,
  file_envoy_extensions_retry_host_omit_canary_hosts_v3_omit_canary_hosts,
  file_envoy_extensions_retry_host_omit_host_metadata_v3_omit_host_metadata_config,
  file_envoy_extensions_retry_host_previous_hosts_v3_previous_hosts,
  file_envoy_extensions_retry_priority_previous_priorities_v3_previous_priorities_config,
  file_envoy_extensions_string_matcher_lua_v3_lua,
  file_envoy_extensions_tracers_opentelemetry_resource_detectors_v3_dynatrace_resource_detector,
  file_envoy_extensions_tracers_opentelemetry_resource_detectors_v3_environment_resource_detector,
  file_envoy_extensions_tracers_opentelemetry_resource_detectors_v3_static_config_resource_detector,
  file_envoy_extensions_tracers_opentelemetry_samplers_v3_always_on_sampler,
  file_envoy_extensions_tracers_opentelemetry_samplers_v3_dynatrace_sampler,
  file_envoy_extensions_transport_sockets_alts_v3_alts,
  file_envoy_extensions_transport_sockets_http_11_proxy_v3_upstream_http_11_connect,
  file_envoy_extensions_transport_sockets_internal_upstream_v3_internal_upstream,
  file_envoy_extensions_transport_sockets_proxy_protocol_v3_upstream_proxy_protocol,
  file_envoy_extensions_transport_sockets_quic_v3_quic_transport,
  file_envoy_extensions_transport_sockets_raw_buffer_v3_raw_buffer,
  file_envoy_extensions_transport_sockets_s2a_v3_s2a,
  file_envoy_extensions_transport_sockets_starttls_v3_starttls,
  file_envoy_extensions_transport_sockets_tap_v3_tap,
  file_envoy_extensions_transport_sockets_tcp_stats_v3_tcp_stats,
  file_envoy_extensions_transport_sockets_tls_v3_cert,
  file_envoy_extensions_transport_sockets_tls_v3_common,
  file_envoy_extensions_transport_sockets_tls_v3_secret,
  file_envoy_extensions_transport_sockets_tls_v3_tls,
  file_envoy_extensions_transport_sockets_tls_v3_tls_spiffe_validator_config,
  file_envoy_extensions_upstreams_http_generic_v3_generic_connection_pool,
  file_envoy_extensions_upstreams_http_http_v3_http_connection_pool,
  file_envoy_extensions_upstreams_http_tcp_v3_tcp_connection_pool,
  file_envoy_extensions_upstreams_http_udp_v3_udp_connection_pool,
  file_envoy_extensions_upstreams_http_v3_http_protocol_options,
  file_envoy_extensions_upstreams_tcp_generic_v3_generic_connection_pool,
  file_envoy_extensions_upstreams_tcp_v3_tcp_protocol_options,
  file_envoy_extensions_wasm_v3_wasm,
  file_udpa_type_v1_typed_struct,
  file_xds_type_v3_cel,
  file_xds_type_v3_range,
  file_xds_type_v3_typed_struct,
);
