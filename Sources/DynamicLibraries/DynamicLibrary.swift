import Glibc

/// A shared library that is looked up when the program runs, and that it can do without.
///
/// It stays loaded to the end of the process, so that functions found in it stay valid. A name without a
/// folder is looked for on the system's own search path alone.
public struct DynamicLibrary: Sendable {
  /// The name it was found under, such as `libzstd.so.1`.
  public let name: String
  /// The bits of the handle; nothing but `dlsym` uses them.
  private let handle: UInt

  /// Loads the first of the names that the system knows; nil if it knows none.
  public init?(anyOf names: String...) { self.init(anyOf: names) }

  /// The same.
  ///
  /// - Parameter isGlobal: whether libraries that are loaded later find its symbols, as its own plugins may want
  public init?(anyOf names: [String], isGlobal: Bool = false) {
    for name in names {
      guard let handle = dlopen(name, RTLD_NOW | (isGlobal ? RTLD_GLOBAL : RTLD_LOCAL)) else {
        continue
      }
      self.name = name
      self.handle = UInt(bitPattern: handle)
      return
    }
    return nil
  }

  /// What the system says of a library that is there and cannot be loaded; nil where it is not there, or loads.
  public static func damage(of name: String) -> String? {
    guard dlopen(name, RTLD_NOW | RTLD_LOCAL) == nil, let text = dlerror() else { return nil }
    let reason = String(cString: text)
    return reason.contains("No such file") && reason.hasPrefix("\(name):") ? nil : reason
  }

  /// The address of what has this name, nil if the library has nothing.
  public func address(_ name: String) -> UInt? {
    dlsym(UnsafeMutableRawPointer(bitPattern: handle), name).map { UInt(bitPattern: $0) }
  }

  /// The function with this name, nil if the library has none.
  ///
  /// - Parameter type: its type in C, spelled `@convention(c)`; nothing checks that it is right
  public func function<Function>(_ name: String, as type: Function.Type) -> Function? {
    guard let address = dlsym(UnsafeMutableRawPointer(bitPattern: handle), name) else { return nil }
    return unsafeBitCast(address, to: type)
  }

  /// The file that holds a function of the library, or the library's name if the system cannot say.
  public func path(ofFunction name: String) -> String {
    guard let address = dlsym(UnsafeMutableRawPointer(bitPattern: handle), name),
      let maps = fopen("/proc/self/maps", "re")
    else { return self.name }
    defer { fclose(maps) }
    var line: UnsafeMutablePointer<CChar>?
    var capacity = 0
    defer { free(line) }
    while getline(&line, &capacity, maps) > 0, let start = line {
      // `7f00-7fff r-xp 00000000 08:01 123   /usr/lib/libzstd.so.1.5.4`
      let parts = String(cString: start).split(whereSeparator: \.isWhitespace)
      let range = (parts.first ?? "").split(separator: "-").compactMap { UInt($0, radix: 16) }
      guard range.count == 2, parts.count >= 6,
        (range[0]..<range[1]).contains(UInt(bitPattern: address))
      else { continue }
      return parts[5...].joined(separator: " ")
    }
    return self.name
  }
}
