import CZlib

/// The version of zlib at run time, such as `1.3`.
public var zlibVersionText: String {
  guard let text = zlibVersion() else { return "unknown" }
  return String(cString: text)
}
