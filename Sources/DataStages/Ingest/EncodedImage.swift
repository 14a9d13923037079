import Files
import Foundation
import PipelineCore

/// The bytes of an image file, or where they are.
enum EncodedImage {
  case bytes([UInt8])
  case file(path: String)

  /// What a text stands for: base64, with or without `data:...,` before it, or the path of a file.
  ///
  /// The beginnings of JPEG, PNG and WebP files in base64 tell them from paths.
  ///
  /// - Throws: ``ImagePathError`` for a text that is neither, or a path that is not followed
  init(text: String, paths: ImagePaths) throws(ImagePathError) {
    if text.hasPrefix("data:") {
      guard let comma = text.firstIndex(of: ",") else { throw ImagePathError.nothing }
      try self.init(base64: String(text[text.index(after: comma)...]))
    } else if ["/9j/", "iVBORw0KGgo", "UklGR"].contains(where: text.hasPrefix)
      || text.utf8.count > 4_096
    {
      try self.init(base64: text)
    } else {
      self = .file(path: try paths.path(text))
    }
  }

  init(base64 text: String) throws(ImagePathError) {
    guard let data = Data(base64Encoded: text, options: .ignoreUnknownCharacters) else {
      throw .nothing
    }
    self = .bytes([UInt8](data))
  }
}

/// Where the paths of images lead that a source names.
///
/// A source may come from anywhere: what it names must lie in its own folder, or where the user says.
struct ImagePaths {
  /// The folder of the source, where relative paths start.
  let folder: String
  /// Where they start instead, and where absolute ones must lead: setting `ingest.image_root`.
  let root: String?
  /// The components of the root's absolute path, as it is written and with links followed.
  private let rootParts: [[Substring]]

  /// Links in these folders are followed: whoever made the folder chose them, not the rows.
  init(source path: String, root: String?) {
    folder = OutputPath.folder(of: path)
    self.root = root
    rootParts =
      root.map { root in
        let absolute =
          root.hasPrefix("/") ? root : "\(FileManager.default.currentDirectoryPath)/\(root)"
        return [absolute, Folders.canonical(root)].map(Self.parts)
      } ?? []
  }

  func path(_ name: String) throws(ImagePathError) -> String {
    guard !name.isEmpty, !name.utf8.contains(0) else { throw .nothing }
    if let scheme = name.range(of: "://") { throw .address(String(name[..<scheme.lowerBound])) }
    let parts = Self.parts(name)
    guard !parts.contains("..") else { throw .leadsOut(name) }
    if name.contains("\\"), !Folders.exists("\(root ?? folder)/\(name)") {
      throw .hasBackslash(name)
    }
    guard name.hasPrefix("/") else { return "\(root ?? folder)/\(name)" }
    guard rootParts.contains(where: { parts.starts(with: $0) }) else { throw .isAbsolute(name) }
    return name
  }

  private static func parts(_ path: String) -> [Substring] {
    path.split(separator: "/").filter { $0 != "." }
  }
}

/// Why a text does not lead to an image.
enum ImagePathError: ClassifiedError, CustomStringConvertible {
  case nothing
  case address(String)
  case leadsOut(String)
  case isAbsolute(String)
  case hasBackslash(String)

  var kind: FailureKind { .input }

  /// A stable word, to count by.
  var code: String {
    switch self {
    case .nothing: "unreadable-image"
    case .address, .leadsOut, .isAbsolute: "unsafe-path"
    case .hasBackslash: "missing-image"
    }
  }

  var description: String {
    switch self {
    case .nothing: "neither a file path nor base64"
    case .address(let scheme):
      "a URL (\(scheme.prefix(20)):), and nothing is downloaded; download or mount the images and "
        + "give their file paths"
    case .leadsOut(let name):
      "the path \"\(name.prefix(200))\" contains \"..\"; set ingest.image_root to the folder "
        + "that holds the images, and name them relative to it"
    case .hasBackslash(let name):
      "there is no file \"\(name.prefix(200))\": its name contains a backslash (\\); write / between "
        + "folders"
    case .isAbsolute(let name):
      "the path \"\(name.prefix(200))\" is absolute; set ingest.image_root to the folder "
        + "that holds the images"
    }
  }
}

extension RowFault {
  init(_ field: RecordField, _ error: ImagePathError) {
    self.init(field, error.code, "\(error)")
  }
}
