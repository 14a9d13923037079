public import Files
import Foundation

/// The path of a file of the repository.
public func repositoryPath(_ relative: String) -> String {
  URL(fileURLWithPath: fixturePath("")).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent(relative).path
}

/// A copy of a folder in another one; its large files are links to the original's.
public func linkedCopy(of source: String, in folder: String, as name: String) throws -> String {
  let copy = "\(folder)/\(name)"
  let manager = FileManager.default
  try manager.createDirectory(atPath: copy, withIntermediateDirectories: true)
  for item in try manager.contentsOfDirectory(atPath: source) {
    var isFolder: ObjCBool = false
    _ = manager.fileExists(atPath: "\(source)/\(item)", isDirectory: &isFolder)
    if isFolder.boolValue {
      _ = try linkedCopy(of: "\(source)/\(item)", in: copy, as: item)
    } else if item.hasSuffix(".json") {
      try manager.copyItem(atPath: "\(source)/\(item)", toPath: "\(copy)/\(item)")
    } else {
      try manager.createSymbolicLink(
        atPath: "\(copy)/\(item)", withDestinationPath: "\(source)/\(item)")
    }
  }
  return copy
}

/// Sets members of the object in a JSON file; nil removes one.
public func editJSON(_ path: String, _ changes: [String: JSON?]) throws {
  var object = try JSONReader(contentsOf: path).object()
  for (key, value) in changes { object[key] = value }
  try AtomicFile.replace(path, with: Array(JSON.object(object).text().utf8))
}

/// A place in a JSON value: keys of objects and indices of arrays.
public enum JSONStep: Hashable, Sendable {
  case key(String)
  case index(Int)
}

extension JSON {
  /// The places of all numbers.
  public var numberPaths: [[JSONStep]] {
    switch self {
    case .integer, .unsigned, .number: [[]]
    case .array(let elements):
      elements.enumerated().flatMap { index, element in
        element.numberPaths.map { [.index(index)] + $0 }
      }
    case .object(let object):
      object.flatMap { key, value in value.numberPaths.map { [.key(key)] + $0 } }
    default: []
    }
  }

  /// The same value with another one at a place; nil removes the member there.
  public func replacing(_ place: some Collection<JSONStep>, by value: JSON?) -> JSON {
    guard let step = place.first else { return value ?? .null }
    let rest = place.dropFirst()
    switch (self, step) {
    case (.object(var object), .key(let key)):
      object[key] =
        rest.isEmpty ? value : (object[key] ?? .null).replacing(rest, by: value)
      return .object(object)
    case (.array(var elements), .index(let index)):
      elements[index] = elements[index].replacing(rest, by: value)
      return .array(elements)
    default: return self
    }
  }
}
