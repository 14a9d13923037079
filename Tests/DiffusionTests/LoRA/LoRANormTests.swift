import Checkpoints
import Diffusion
import TestSupport
import Testing

@Suite struct LoRANormTests {
  @Test("the norm of a LoRA is that of what it adds, module by module")
  func norm() throws {
    let model = ModelFolder(path: fixturePath("lora"))
    let lora = try LoRAFile(path: fixturePath("lora/diffusers.safetensors"))
      .weights(for: try model.unetLayers())
    let unet = try model.checkpoint("unet", stem: "diffusion_pytorch_model")
    var (added, own) = (0.0, 0.0)
    for module in lora.modules {
      for output in 0..<module.layer.outputs {
        for input in 0..<module.layer.inputs {
          let value = (0..<module.rank).reduce(0.0) {
            $0 + Double(module.up[output * module.rank + $1])
              * Double(module.down[$1 * module.layer.inputs + input])
          }
          added += value * value
        }
      }
      own += try unet.floats("\(module.layer.path).weight").reduce(0) {
        $0 + Double($1) * Double($1)
      }
    }
    #expect(added > 0)
    #expect(abs(lora.norm / added.squareRoot() - 1) < 1e-6)
    #expect(abs(try lora.baseNorm(in: unet) / own.squareRoot() - 1) < 1e-9)
  }
}
