import Foundation

/// The bytes of an image file, or where they are.
enum EncodedImage {
  case bytes([UInt8])
  case file(path: String)

  /// What a text stands for: base64, with or without `data:...,` before it, or the path of a file;
  /// nil if it is neither.
  ///
  /// The beginnings of JPEG and PNG files in base64 tell them from paths.
  ///
  /// - Parameter folder: where relative paths start
  init?(text: String, folder: String) {
    if text.hasPrefix("data:") {
      guard let comma = text.firstIndex(of: ",") else { return nil }
      self.init(base64: String(text[text.index(after: comma)...]))
    } else if text.hasPrefix("/9j/") || text.hasPrefix("iVBORw0KGgo") || text.utf8.count > 4_096 {
      self.init(base64: text)
    } else if text.isEmpty || text.utf8.contains(0) {
      return nil
    } else {
      self = .file(path: resolved(text, in: folder))
    }
  }

  init?(base64 text: String) {
    guard let data = Data(base64Encoded: text, options: .ignoreUnknownCharacters) else {
      return nil
    }
    self = .bytes([UInt8](data))
  }
}

/// The folder of a file, without the slash at its end.
func folder(of path: String) -> String {
  guard let slash = path.lastIndex(of: "/") else { return "." }
  return slash == path.startIndex ? "/" : String(path[..<slash])
}

/// A path that a source names: relative ones start at the source's folder.
func resolved(_ name: String, in folder: String) -> String {
  name.hasPrefix("/") ? name : "\(folder)/\(name)"
}
