# povray renders a scene: x87 arithmetic, threads, and a picture that must be the same.
# seconds: 600
source /programs/support/steps.bash
need povray
cd /tmp || exit
cat >scene.pov <<'POV'
#version 3.7;
global_settings { assumed_gamma 1 }
camera { location <0, 2, -6> look_at <0, 0.5, 0> }
light_source { <10, 20, -10> color rgb 1 area_light <2, 0, 0>, <0, 2, 0>, 3, 3 }
background { color rgb <0.2, 0.3, 0.5> }
plane { y, -1 pigment { checker color rgb 1 color rgb 0.2 } finish { reflection 0.2 } }
sphere { <-1.5, 0, 0>, 1 pigment { marble turbulence 0.8 color_map { [0 rgb <1, 0, 0>] [1 rgb <1, 1, 0.5>] } } finish { phong 0.8 } }
sphere { <1, 0, 1>, 1 pigment { color rgbt <1, 1, 1, 0.8> } finish { reflection 0.2 } interior { ior 1.5 } }
torus { 1, 0.3 rotate x * 60 translate <0, 1.4, 1> texture { pigment { granite scale 0.5 } normal { bumps 0.5 scale 0.1 } } }
difference { box { <-0.5, -1, -2.5>, <0.5, 0, -1.5> } cylinder { <0, -2, -2>, <0, 2, -2>, 0.3 } pigment { wood rotate y * 30 } }
isosurface { function { x * x + y * y + z * z - 0.4 - f_noise3d(x * 4, y * 4, z * 4) * 0.3 } contained_by { sphere { 0, 1 } } max_gradient 4 translate <0, 0, -1.2> scale 0.6 pigment { rgb <0.2, 0.8, 0.4> } }
POV
sed -i '2i #include "functions.inc"' scene.pov
n=$(size 80 320)
for threads in 1 2; do
  povray +Iscene.pov +Oscene.png +W"$n" +H$((n * 3 / 4)) +A0.3 +WT$threads -D -GA 2>/dev/null
  echo "[$?]"
  md5sum scene.png
done
povray +Iscene.pov +Oscene.ppm +FP +W40 +H30 -D -GA 2>/dev/null
md5sum scene.ppm
povray +Inothing.pov -D 2>&1 | grep -i 'cannot\|failed\|error' | head -3
