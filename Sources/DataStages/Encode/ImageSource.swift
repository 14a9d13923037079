import Catalog
import Files
import PipelineCore

/// Reads the bytes of catalogued images from the files they were ingested from, or from their
/// copies.
///
/// Keeps the last file open: requesting images in file order takes a single pass.
final class ImageSource {
  private let catalog: CatalogDatabase
  private var openFile: (path: String, file: any RecordFile, starts: [Int])?

  init(_ catalog: CatalogDatabase) { self.catalog = catalog }

  /// Returns the bytes, verified to be those ingested.
  ///
  /// - Throws: ``ImageFileError`` if the image is a separate file and cannot be read
  func bytes(of image: ImageRecord) throws -> [UInt8] {
    if let copy = try catalog.copiedBytes(ofImage: image.id) { return copy }
    let place = image.location
    let (file, starts) = try open(place)
    guard starts.indices.contains(place.rowGroup) else {
      throw SourceError.changed(path: place.sourcePath)
    }
    let encoded = try file.image(
      block: place.rowGroup, row: place.row - starts[place.rowGroup], column: place.column)
    let bytes = try encoded.load()
    guard SHA256.hexDigest(of: bytes) == image.sha256 else {
      guard case .file(let path) = encoded else {
        throw SourceError.changed(path: place.sourcePath)
      }
      throw SourceError.changedImage(path: path)
    }
    return bytes
  }

  private func open(_ place: ImageLocation) throws -> (any RecordFile, [Int]) {
    let path = place.sourcePath
    if let openFile, ExactText(openFile.path) == ExactText(path) {
      return (openFile.file, openFile.starts)
    }
    guard Folders.exists(path) else { throw SourceError.gone(path: path) }
    // A location gives the column's name in its file.
    let options = ReadingOptions(imageRoot: place.imageRoot)
    let file = try SourceFile(path: path, split: "").openRows(options)
    let starts = file.blockStarts
    openFile = (path, file, starts)
    return (file, starts)
  }
}
