import Checkpoints
import Files
import Foundation

/// An autoencoder that replaces a model's own: the webui's VAE setting.
///
/// A diffusers folder (or that of a model, whose autoencoder is used), or a single file with
/// diffusers' or Stability's names. A file has no configuration: it takes that of the autoencoder
/// it replaces, with extents inferred from the shapes.
struct GivenAutoencoder {
  let path: String

  /// The folder of the configuration and the weights; nil: a single file.
  var folder: String? {
    guard PathKind(of: path) != .file else { return nil }
    let inside = "\(path)/vae"
    let own = FileManager.default.fileExists(atPath: "\(path)/config.json")
    return !own && FileManager.default.fileExists(atPath: inside) ? inside : path
  }

  /// - Parameter replaced: the configuration of the replaced autoencoder
  func configuration(replacing replaced: () throws -> JSON) throws -> JSONReader {
    guard !path.isEmpty else { throw ModelFolderError.unreadable(folder: "the VAE \"\"") }
    if let folder { return try JSONReader(contentsOf: "\(folder)/config.json") }
    let extents = try AutoencoderExtents(try weights(), prefix: "").json
    return JSONReader(try replaced().adding(extents), path: path)
  }

  /// Returns the weights of a single file, under diffusers' names.
  ///
  /// - Throws: ``LDMCheckpointError/noAutoencoder(path:)``
  func weights() throws -> any CheckpointSource {
    let file = try openCheckpoint(path).nested(below: "state_dict.")
      .nested(below: LDMCheckpoint.autoencoderPrefix)
    if file.find("encoder.conv_in.weight") == nil {
      throw LDMCheckpointError.noAutoencoder(path: path)
    }
    return try file.find("encoder.down.0.block.0.conv1.weight") == nil
      ? file : RenamedCheckpoint(file, LDMNames.autoencoderOrigins(in: file, prefix: ""))
  }
}

/// The extents in an autoencoder's configuration, inferred from shapes under diffusers' names.
struct AutoencoderExtents {
  let json: JSON

  init(_ weights: any CheckpointSource, prefix: String) throws {
    func extent(_ name: String, _ axis: Int) throws -> JSON {
      let shape = try weights.entry(name).shape
      guard shape.indices.contains(axis), shape[axis] > 0 else {
        throw CheckpointError.malformedTensor(
          path: weights.path, tensor: name, problem: "its shape \(shape) has no axis \(axis)")
      }
      return .integer(shape[axis])
    }
    func count(_ name: (Int) -> String) -> Int {
      var number = 0
      while weights.find(name(number)) != nil { number += 1 }
      return number
    }
    func resnet(_ level: Int, _ layer: Int) -> String {
      "encoder.down_blocks.\(level).resnets.\(layer).conv1.weight"
    }
    let levels = count { resnet($0, 0) }
    func kinds(_ name: JSON) -> JSON { .array((0..<levels).map { _ in name }) }
    json = [
      "in_channels": try extent("encoder.conv_in.weight", 1),
      "out_channels": try extent("decoder.conv_out.weight", 0),
      "latent_channels": try extent("decoder.conv_in.weight", 1),
      "block_out_channels": .array(try (0..<levels).map { try extent(resnet($0, 0), 0) }),
      "layers_per_block": .integer(count { resnet(0, $0) }),
      "down_block_types": kinds("DownEncoderBlock2D"), "up_block_types": kinds("UpDecoderBlock2D"),
    ]
  }
}
