import CZlib

/// The zlib that the program runs on, such as `1.3`.
public var zlibVersionText: String {
  guard let text = zlibVersion() else { return "unknown" }
  return String(cString: text)
}
