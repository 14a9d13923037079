import Catalog
import Files

/// Finds the bytes of catalogued images in the files they were ingested from, or in their copies.
///
/// Keeps the last file open: images that are asked for in file order cost one pass.
final class ImageSource {
  private let catalog: CatalogDatabase
  private var openFile: (path: String, file: any RecordFile, starts: [Int])?

  init(_ catalog: CatalogDatabase) { self.catalog = catalog }

  /// The bytes, which are those that were ingested.
  func bytes(of image: ImageRecord) throws -> [UInt8] {
    if let copy = try catalog.copiedBytes(ofImage: image.id) { return copy }
    let place = image.location
    let (file, starts) = try open(place)
    guard starts.indices.contains(place.rowGroup) else {
      throw SourceError.changed(path: place.sourcePath)
    }
    let bytes = try file.imageBytes(
      block: place.rowGroup, row: place.row - starts[place.rowGroup], column: place.column)
    guard SHA256.hexDigest(of: bytes) == image.sha256 else {
      throw SourceError.changed(path: place.sourcePath)
    }
    return bytes
  }

  private func open(_ place: ImageLocation) throws -> (any RecordFile, [Int]) {
    let path = place.sourcePath
    if let openFile, openFile.path == path { return (openFile.file, openFile.starts) }
    // A location says how the column is called in its file.
    let options = ReadingOptions(imageRoot: place.imageRoot)
    let file = try SourceFile(path: path, split: "").openRows(options)
    let starts = file.blockStarts
    openFile = (path, file, starts)
    return (file, starts)
  }
}
