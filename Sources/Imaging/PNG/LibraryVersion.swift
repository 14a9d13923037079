import CPNG

/// The version of libpng at run time, such as `1.6.43`.
public var libpngVersion: String {
  guard let text = png_get_libpng_ver(nil) else { return "unknown" }
  return String(cString: text)
}
