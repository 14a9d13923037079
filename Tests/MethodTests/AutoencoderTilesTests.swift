import Autograd
import Checkpoints
import Diffusion
import TestSupport
import Testing

@Suite("Tiles of an autoencoder")
struct AutoencoderTilesTests {
  private let folder = "models/vae-odd"

  private func autoencoder() throws -> Autoencoder {
    try ModelFolder(path: fixturePath(folder)).autoencoder().model
  }

  private func tensor(_ file: SafetensorsFile, _ name: String) throws -> Tensor {
    Tensor(try file.floats(name), shape: try file.entry(name).shape).channelsLast()
  }

  @Test("larger images are decoded as diffusers decodes them with tiling")
  func decoding() throws {
    let golden = try SafetensorsFile(path: fixturePath("\(folder)/tiles-decode.safetensors"))
    let latents = try tensor(golden, "input.latents")
    let expected = try tensor(golden, "output.image").values
    var autoencoder = try autoencoder()
    let whole = autoencoder.decoder(latents)
    autoencoder.useTiles()
    let found = autoencoder.decoder(latents)
    #expect(relativeError(found.values, expected) < 1e-4)
    #expect(relativeError(whole.values, expected) > 1e-2)
  }

  @Test("larger images are encoded as diffusers encodes them with tiling")
  func encoding() throws {
    let golden = try SafetensorsFile(path: fixturePath("\(folder)/tiles-encode.safetensors"))
    var autoencoder = try autoencoder()
    autoencoder.useTiles()
    let posterior = autoencoder.encoder(try tensor(golden, "input.image"))
    for (name, found) in [("mean", posterior.mean), ("logvar", posterior.logVariance)] {
      let expected = try tensor(golden, "output.\(name)").values
      #expect(relativeError(found.values, expected) < 1e-4, "\(name)")
    }
  }

  @Test("an image of one tile is that of the whole")
  func oneTile() throws {
    var autoencoder = try autoencoder()
    let latents = Tensor((0..<48).map { Float($0 % 7) - 3 }, shape: [1, 4, 4, 3])
    let whole = autoencoder.decoder(latents).values
    autoencoder.useTiles()
    #expect(autoencoder.decoder(latents).values == whole)
  }
}
