import CPNG

/// The libpng that the program runs on, such as `1.6.43`.
public var libpngVersion: String {
  guard let text = png_get_libpng_ver(nil) else { return "unknown" }
  return String(cString: text)
}
