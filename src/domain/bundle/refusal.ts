import { FairleadError } from '../failure.ts';

/** Every way in which a bundle is refused. The code is what tests, reports and people go by; it never changes its meaning. */
export type BundleRefusalCode =
  // A path in the archive or in the file list.
  | 'bundle_path_empty'
  | 'bundle_path_absolute'
  | 'bundle_path_traversal'
  | 'bundle_path_not_plain'
  | 'bundle_path_nul'
  | 'bundle_path_backslash'
  | 'bundle_path_control'
  | 'bundle_path_not_utf8'
  | 'bundle_path_not_nfc'
  | 'bundle_path_too_long'
  | 'bundle_path_too_deep'
  | 'bundle_name_too_long'
  | 'bundle_path_reserved'
  | 'bundle_path_through_link'
  | 'bundle_parent_missing'
  // Two entries that cannot stand side by side.
  | 'bundle_duplicate_entry'
  | 'bundle_case_clash'
  | 'bundle_unicode_clash'
  // Links.
  | 'bundle_link_absolute'
  | 'bundle_link_escapes'
  | 'bundle_link_loop'
  | 'bundle_link_malformed'
  // What may not stand in a bundle at all.
  | 'bundle_hard_link'
  | 'bundle_device'
  | 'bundle_fifo'
  | 'bundle_sparse'
  | 'bundle_entry_type_unknown'
  | 'bundle_special_bits'
  | 'bundle_mode_not_allowed'
  // Limits.
  | 'bundle_too_many_entries'
  | 'bundle_too_many_bytes'
  | 'bundle_file_too_big'
  | 'bundle_ratio_exceeded'
  | 'bundle_list_too_big'
  | 'bundle_manifest_too_big'
  // The archive as a format.
  | 'bundle_format_unknown'
  | 'bundle_compression_invalid'
  | 'bundle_truncated'
  | 'bundle_trailing_data'
  | 'bundle_not_ustar'
  | 'bundle_header_checksum'
  | 'bundle_number_invalid'
  | 'bundle_number_base256'
  | 'bundle_size_overflow'
  | 'bundle_size_unexpected'
  | 'bundle_padding_not_zero'
  | 'bundle_pax_global'
  | 'bundle_pax_key'
  | 'bundle_pax_malformed'
  | 'bundle_pax_conflict'
  // The file list and the manifest.
  | 'bundle_list_missing'
  | 'bundle_list_invalid'
  | 'bundle_list_digest_differs'
  | 'bundle_manifest_missing'
  | 'bundle_manifest_mismatch'
  | 'manifest_invalid'
  // The archive against its file list.
  | 'bundle_entry_not_listed'
  | 'bundle_entry_missing'
  | 'bundle_type_differs'
  | 'bundle_mode_differs'
  | 'bundle_size_differs'
  | 'bundle_target_differs'
  | 'bundle_digest_differs'
  // The file against what was announced.
  | 'artifact_size_differs'
  | 'artifact_digest_differs'
  | 'artifact_format_differs';

/** A refusal of class `release`: the same bundle is refused on every host, so trying again is useless. */
export function refuseBundle(code: BundleRefusalCode, message: string, hint?: string): FairleadError {
  return new FairleadError({ class: 'release', code, message, ...(hint === undefined ? {} : { hint }) });
}

/** A path for a message: control characters escaped, long ones cut, so that a hostile name cannot forge log lines. */
export function shownPath(path: string): string {
  const quoted = JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}…` : path);
  return quoted.replaceAll(/[\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
